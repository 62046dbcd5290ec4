//! When a failed request is tried again.
//!
//! The provider says what kind of failure it was; what to do about it is decided here, in one table. There are two
//! loops, as servers expect them: a quiet one for requests that never began to answer, and a visible one for the
//! whole exchange. A credential is recovered at most once per turn.

use std::time::Duration;

use crate::model::{FailureStage, ModelError};
use crate::plugin::FailureKind;

/// How often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
    /// Quiet repeats of a request that got no answer.
    pub request_max: u32,
    /// Visible repeats of the whole exchange.
    pub stream_max: u32,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            request_max: 4,
            stream_max: 5,
        }
    }
}

/// The state of both loops.
#[derive(Debug, Clone, Copy)]
pub struct RetryBudget {
    limits: RetryLimits,
    requests: u32,
    streams: u32,
    recovered: bool,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Give up.
    Fail,
    /// Wait and send again; nobody needs to know.
    Quiet(Duration),
    /// Wait and send again, and say so.
    Reconnect {
        /// How long to wait.
        delay: Duration,
        /// Which try this is, from 1.
        attempt: u32,
        /// The most there will be.
        max: u32,
    },
    /// Ask the provider for a better credential, then send again.
    Recover,
}

/// No server may make a turn wait longer than this; one that asks for more is as good as down.
const MAX_DELAY: Duration = Duration::from_secs(15 * 60);

impl RetryBudget {
    /// A fresh budget for a turn.
    pub fn new(limits: RetryLimits) -> Self {
        Self {
            limits,
            requests: 0,
            streams: 0,
            recovered: false,
        }
    }

    /// A request was answered to its end: the next one starts with full loops. Recovery stays used up.
    pub fn succeeded(&mut self) {
        self.requests = 0;
        self.streams = 0;
    }

    /// Decides about a failure. `jitter` is any number; it varies the delay by a tenth either way.
    pub fn next(&mut self, error: &ModelError, jitter: u64) -> NextStep {
        match class(error) {
            Class::Fatal => NextStep::Fail,
            Class::Credential if self.recovered => NextStep::Fail,
            Class::Credential => {
                self.recovered = true;
                NextStep::Recover
            }
            Class::Request { then_stream } => {
                if self.requests < self.limits.request_max {
                    self.requests += 1;
                    return NextStep::Quiet(delay(error, self.requests, jitter));
                }
                if then_stream {
                    self.reconnect(error, jitter)
                } else {
                    NextStep::Fail
                }
            }
            Class::Stream => self.reconnect(error, jitter),
        }
    }

    fn reconnect(&mut self, error: &ModelError, jitter: u64) -> NextStep {
        if self.streams >= self.limits.stream_max {
            return NextStep::Fail;
        }
        self.streams += 1;
        self.requests = 0;
        NextStep::Reconnect {
            delay: delay(error, self.streams, jitter),
            attempt: self.streams,
            max: self.limits.stream_max,
        }
    }
}

enum Class {
    Fatal,
    Credential,
    Request { then_stream: bool },
    Stream,
}

fn class(error: &ModelError) -> Class {
    match (error.stage, error.kind) {
        (FailureStage::Auth, _) => {
            if error.transient {
                Class::Stream
            } else {
                Class::Fatal
            }
        }
        (FailureStage::Connect, _) => Class::Request { then_stream: true },
        (FailureStage::Status(401), _) | (FailureStage::Status(_), FailureKind::Unauthorized) => {
            Class::Credential
        }
        (FailureStage::Status(500..=599), FailureKind::Overloaded) => {
            Class::Request { then_stream: false }
        }
        (FailureStage::Status(500..=599), _) => Class::Request { then_stream: true },
        (FailureStage::Status(_), FailureKind::RateLimited) => Class::Stream,
        (FailureStage::Status(_), _) => Class::Fatal,
        (
            FailureStage::Event,
            FailureKind::RateLimited | FailureKind::ServerError | FailureKind::Unknown,
        ) => Class::Stream,
        (FailureStage::Event, _) => Class::Fatal,
        (FailureStage::Stream, _) => Class::Stream,
    }
}

/// What the server asked for, else 200 ms doubled each time, a tenth more or less.
fn delay(error: &ModelError, attempt: u32, jitter: u64) -> Duration {
    if let Some(asked) = error.retry_after {
        return asked.min(MAX_DELAY);
    }
    let base = 200_u64.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    Duration::from_millis(base * 9 / 10 + jitter % (base / 5).max(1)).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(stage: FailureStage, kind: FailureKind) -> ModelError {
        ModelError {
            stage,
            kind,
            message: String::new(),
            retry_after: None,
            transient: false,
        }
    }

    /// Follows a failure that never goes away: how many requests are sent, and how many notices are shown.
    #[track_caller]
    fn check(stage: FailureStage, kind: FailureKind, requests: u32, notices: u32) {
        let mut budget = RetryBudget::new(RetryLimits::default());
        let (mut sent, mut shown) = (1, 0);
        loop {
            match budget.next(&error(stage, kind), 0) {
                NextStep::Fail => break,
                NextStep::Quiet(_) | NextStep::Recover => sent += 1,
                NextStep::Reconnect { .. } => {
                    sent += 1;
                    shown += 1;
                }
            }
        }
        assert_eq!((sent, shown), (requests, notices), "{stage:?} {kind:?}");
    }

    #[test]
    fn each_failure_is_tried_as_often_as_the_table_says() {
        check(FailureStage::Status(500), FailureKind::ServerError, 30, 5);
        check(FailureStage::Status(503), FailureKind::Overloaded, 5, 0);
        check(FailureStage::Connect, FailureKind::Unknown, 30, 5);
        check(FailureStage::Status(400), FailureKind::InvalidRequest, 1, 0);
        check(FailureStage::Status(401), FailureKind::Unauthorized, 2, 0);
        check(FailureStage::Status(403), FailureKind::Forbidden, 1, 0);
        check(FailureStage::Status(404), FailureKind::NotFound, 1, 0);
        check(FailureStage::Status(413), FailureKind::TooLarge, 1, 0);
        check(FailureStage::Status(429), FailureKind::RateLimited, 6, 5);
        check(
            FailureStage::Status(429),
            FailureKind::UsageLimitReached,
            1,
            0,
        );
        check(
            FailureStage::Event,
            FailureKind::ContextWindowExceeded,
            1,
            0,
        );
        check(FailureStage::Event, FailureKind::Unknown, 6, 5);
        check(FailureStage::Stream, FailureKind::Unknown, 6, 5);
        check(FailureStage::Auth, FailureKind::Unknown, 1, 0);
    }

    #[test]
    fn delays_double_and_a_servers_wish_counts_exactly() {
        let mut budget = RetryBudget::new(RetryLimits {
            request_max: 0,
            stream_max: 3,
        });
        let mut failing = error(FailureStage::Stream, FailureKind::Unknown);
        let delays: Vec<NextStep> = (0..2).map(|_| budget.next(&failing, 0)).collect();
        assert_eq!(
            delays,
            [
                NextStep::Reconnect {
                    delay: Duration::from_millis(180),
                    attempt: 1,
                    max: 3
                },
                NextStep::Reconnect {
                    delay: Duration::from_millis(360),
                    attempt: 2,
                    max: 3
                },
            ]
        );
        failing.retry_after = Some(Duration::from_secs(7));
        assert_eq!(
            budget.next(&failing, 0),
            NextStep::Reconnect {
                delay: Duration::from_secs(7),
                attempt: 3,
                max: 3
            }
        );
    }
}
