//! What a service says of how much may still be used.

/// A window of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimitWindow {
    /// How much of it is used, 0 to 100.
    pub used_percent: f64,
    /// Its length.
    pub window_minutes: Option<u64>,
    /// When it starts again, in seconds since 1970.
    pub resets_at: Option<u64>,
}

/// Paid credit beside the windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credits {
    /// Whether there is any.
    pub has_credits: bool,
    /// Whether it has no end.
    pub unlimited: bool,
    /// How much there is, as the service writes it.
    pub balance: Option<String>,
}

/// Rate limits as last reported.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RateLimits {
    /// Which limit this is; none is the usual one, `codex`.
    pub limit_id: Option<String>,
    /// Its name for people.
    pub limit_name: Option<String>,
    /// The short window.
    pub primary: Option<RateLimitWindow>,
    /// The long window.
    pub secondary: Option<RateLimitWindow>,
    /// Paid credit.
    pub credits: Option<Credits>,
    /// The plan, such as `plus`.
    pub plan_type: Option<String>,
    /// What kind of limit was reached, in the service's word.
    pub reached: Option<String>,
}

impl RateLimits {
    /// Puts a newer report in place. Not every report tells of credit and plan, which change rarely: they are kept.
    pub fn update(&mut self, newer: Self) {
        let old = std::mem::replace(self, newer);
        self.credits = self.credits.take().or(old.credits);
        self.plan_type = self.plan_type.take().or(old.plan_type);
    }
}
