//! When a failed request is tried again.
//!
//! The provider says what kind of failure it was; what to do about it is decided here, in one table. There are two
//! loops, as servers expect them: a quiet one for requests that never began to answer, and a visible one for the
//! whole exchange. What both give up may have another way to go. A credential is recovered at most once per turn, in at
//! most two steps. Where that is wanted, a network that is gone is waited for without an end of its own.

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
    /// Whether a connection that cannot be made is tried on after both loops, until somebody interrupts.
    pub unbounded_connections: bool,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            request_max: 4,
            stream_max: 5,
            unbounded_connections: false,
        }
    }
}

/// The state of both loops.
#[derive(Debug, Clone, Copy)]
pub struct RetryBudget {
    limits: RetryLimits,
    requests: u32,
    streams: u32,
    /// Tries since the network was found to be gone.
    waits: u32,
    /// The step of recovering a credential that is left.
    recovery: Option<RecoveryStep>,
}

/// A step of recovering a credential. A provider may have only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecoveryStep {
    /// After the credential was refused: takes what is newer, such as what another process stored.
    First,
    /// After what the first step gave was refused too.
    Second,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Give up.
    Fail,
    /// Give up on this way of sending: it was tried often enough, or does not exist here.
    GiveUp,
    /// Give up, since the server asks to wait longer than [`MAX_DELAY`].
    TooLong {
        /// How long it asks to wait.
        asked: Duration,
    },
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
    /// Wait for the network and send again.
    Await {
        /// How long to wait.
        delay: Duration,
        /// Whether this is where the waiting begins, which is worth a word.
        first: bool,
    },
    /// Ask the provider for a better credential, then send again.
    Recover(RecoveryStep),
}

/// No server may make a turn wait longer than this; one that asks for more is as good as down.
pub const MAX_DELAY: Duration = Duration::from_secs(15 * 60);
/// Doubling ends here: 200 ms has become 6.4 s, often enough to notice a network that is back.
const MOST_DOUBLED: u32 = 6;

impl RetryBudget {
    /// A fresh budget for a turn.
    pub fn new(limits: RetryLimits) -> Self {
        Self {
            limits,
            requests: 0,
            streams: 0,
            waits: 0,
            recovery: Some(RecoveryStep::First),
        }
    }

    /// A budget for a request beside those of the turn, with at most so many visible repeats. What it recovers, the turn
    /// must be told: see [`Self::take_over`].
    pub fn beside(&self, stream_max: u32) -> Self {
        let limits = RetryLimits {
            stream_max: self.limits.stream_max.min(stream_max),
            ..self.limits
        };
        Self {
            recovery: self.recovery,
            ..Self::new(limits)
        }
    }

    /// Takes over from a budget beside this one how far the credential was recovered.
    pub fn take_over(&mut self, beside: Self) {
        self.recovery = match (self.recovery, beside.recovery) {
            (Some(own), Some(other)) => Some(own.max(other)),
            (None, _) | (_, None) => None,
        };
    }

    /// A request was answered to its end: the next one starts with full loops. Recovery stays used up.
    pub fn succeeded(&mut self) {
        self.requests = 0;
        self.streams = 0;
        self.waits = 0;
    }

    /// Decides about a failure. `jitter` is any number; it varies the delay by a tenth either way.
    pub fn next(&mut self, error: &ModelError, jitter: u64) -> NextStep {
        if self.waits > 0 && error.stage != FailureStage::Connect {
            // The network is back, and what it brings is another matter.
            self.succeeded();
        }
        let class = class(error);
        if matches!(class, Class::Request { .. } | Class::Stream)
            && let Some(asked) = error.retry_after.filter(|asked| *asked > MAX_DELAY)
        {
            return NextStep::TooLong { asked };
        }
        match class {
            Class::Fatal => NextStep::Fail,
            Class::OtherWay => NextStep::GiveUp,
            Class::Credential => match self.recovery {
                None => NextStep::GiveUp,
                Some(step) => {
                    self.recovery = match step {
                        RecoveryStep::First => Some(RecoveryStep::Second),
                        RecoveryStep::Second => None,
                    };
                    NextStep::Recover(step)
                }
            },
            // A connection that carried an answer before has no head to wait for: there is one loop.
            Class::Request { then_stream: true } if error.over_socket => {
                self.reconnect(error, jitter)
            }
            Class::Request { then_stream } => {
                if self.requests < self.limits.request_max && self.waits == 0 {
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
            return self.wait(error, jitter);
        }
        self.streams += 1;
        self.requests = 0;
        let delay = delay(error, self.streams, jitter);
        if error.over_socket && self.streams == 1 {
            return NextStep::Quiet(delay);
        }
        NextStep::Reconnect {
            delay,
            attempt: self.streams,
            max: self.limits.stream_max,
        }
    }

    fn wait(&mut self, error: &ModelError, jitter: u64) -> NextStep {
        if error.stage != FailureStage::Connect {
            return NextStep::GiveUp;
        }
        if !self.limits.unbounded_connections {
            // Every other way leads to the same host.
            return NextStep::Fail;
        }
        self.waits = self.waits.saturating_add(1);
        let attempt = self.streams.saturating_add(self.waits).min(MOST_DOUBLED);
        NextStep::Await {
            delay: delay(error, attempt, jitter),
            first: self.waits == 1,
        }
    }
}

enum Class {
    Fatal,
    OtherWay,
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
        (FailureStage::Connect | FailureStage::Exchange, _) => Class::Request { then_stream: true },
        (FailureStage::Status(401), _)
        | (FailureStage::Status(_) | FailureStage::Upgrade, FailureKind::Unauthorized) => {
            Class::Credential
        }
        (FailureStage::Upgrade, _) => Class::OtherWay,
        (FailureStage::Status(500..=599), FailureKind::Overloaded) => {
            Class::Request { then_stream: false }
        }
        (FailureStage::Status(500..=599), _) => Class::Request { then_stream: true },
        (FailureStage::Status(_), FailureKind::RateLimited) => Class::Stream,
        // Timeout, conflict, too early: they say "not now" rather than "not like this".
        (FailureStage::Status(408 | 409 | 425), FailureKind::Unknown) => Class::Stream,
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
        return asked;
    }
    let base = 200_u64 << attempt.saturating_sub(1).min(12); // Further out only `MAX_DELAY` counts.
    let delay = base * 9 / 10 + jitter % (base / 5);
    Duration::from_millis(delay).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(stage: FailureStage, kind: FailureKind) -> ModelError {
        ModelError {
            kind,
            ..ModelError::new(stage, String::new())
        }
    }

    fn limits(request_max: u32, stream_max: u32) -> RetryLimits {
        RetryLimits {
            request_max,
            stream_max,
            unbounded_connections: false,
        }
    }

    /// Follows a failure that never goes away: how many requests are sent, and how many notices are shown.
    #[track_caller]
    fn check(stage: FailureStage, kind: FailureKind, requests: u32, notices: u32) {
        let mut budget = RetryBudget::new(RetryLimits::default());
        let (mut sent, mut shown) = (1, 0);
        loop {
            match budget.next(&error(stage, kind), 0) {
                NextStep::Fail
                | NextStep::GiveUp
                | NextStep::TooLong { .. }
                | NextStep::Await { .. } => break,
                NextStep::Quiet(_) | NextStep::Recover(_) => sent += 1,
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
        check(FailureStage::Exchange, FailureKind::Unknown, 30, 5);
        check(FailureStage::Status(400), FailureKind::InvalidRequest, 1, 0);
        check(FailureStage::Status(401), FailureKind::Unauthorized, 3, 0);
        check(FailureStage::Status(402), FailureKind::QuotaExceeded, 1, 0);
        check(FailureStage::Status(403), FailureKind::Forbidden, 1, 0);
        check(FailureStage::Status(404), FailureKind::NotFound, 1, 0);
        check(FailureStage::Status(408), FailureKind::Unknown, 6, 5);
        check(FailureStage::Status(413), FailureKind::TooLarge, 1, 0);
        check(FailureStage::Status(307), FailureKind::Unknown, 1, 0);
        check(FailureStage::Status(418), FailureKind::Unknown, 1, 0);
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

    /// The delays of a failure that never goes away, in milliseconds.
    fn delays(limits: RetryLimits, error: &ModelError, jitter: u64, steps: usize) -> Vec<u128> {
        let mut budget = RetryBudget::new(limits);
        let delays = (0..steps).map_while(|_| match budget.next(error, jitter) {
            NextStep::Fail | NextStep::GiveUp | NextStep::TooLong { .. } | NextStep::Recover(_) => {
                None
            }
            NextStep::Quiet(delay)
            | NextStep::Reconnect { delay, .. }
            | NextStep::Await { delay, .. } => Some(delay.as_millis()),
        });
        delays.collect()
    }

    #[test]
    fn delays_double_and_vary_by_a_tenth() {
        let broken = error(FailureStage::Stream, FailureKind::Unknown);
        let all = |jitter| delays(limits(4, 5), &broken, jitter, 9);
        assert_eq!(all(0), [180, 360, 720, 1440, 2880], "the shortest");
        assert_eq!(all(20), [200, 380, 740, 1460, 2900]);
        // Every remainder is at its largest here: 40, 80, 160, 320 and 640 all divide 640.
        assert_eq!(all(639), [219, 439, 879, 1759, 3519], "the longest");
        assert_eq!(all(u64::MAX).len(), 5);
        let refused = error(FailureStage::Exchange, FailureKind::Unknown);
        let both = delays(limits(2, 2), &refused, 0, 99);
        assert_eq!(both, [180, 360, 180, 180, 360, 360, 180, 360], "two loops");
    }

    #[test]
    fn a_hundred_repeats_do_not_overflow() {
        let broken = error(FailureStage::Stream, FailureKind::Unknown);
        let all = delays(limits(0, 100), &broken, 0, 999);
        assert_eq!((all.len(), all.last()), (100, Some(&737_280)));
    }

    #[test]
    fn a_servers_wish_counts_exactly_up_to_what_anybody_would_wait() {
        let asking = |stage, seconds| ModelError {
            retry_after: Some(Duration::from_secs(seconds)),
            ..error(stage, FailureKind::RateLimited)
        };
        let limited = FailureStage::Status(429);
        assert_eq!(delays(limits(1, 1), &asking(limited, 7), 5, 9), [7_000]);
        assert_eq!(delays(limits(1, 1), &asking(limited, 0), 5, 9), [0]);
        assert_eq!(delays(limits(1, 1), &asking(limited, 900), 5, 9), [900_000]);
        let down = asking(FailureStage::Status(502), 7);
        assert_eq!(delays(limits(1, 1), &down, 5, 9), [7_000, 7_000, 7_000]);
        assert_eq!(
            RetryBudget::new(limits(1, 1)).next(&asking(limited, 901), 0),
            NextStep::TooLong {
                asked: Duration::from_secs(901)
            }
        );
        assert_eq!(
            RetryBudget::new(limits(1, 1)).next(&asking(FailureStage::Status(403), 901), 0),
            NextStep::TooLong {
                asked: Duration::from_secs(901)
            },
            "it is limited, whatever its number"
        );
    }

    #[test]
    fn a_network_that_is_gone_is_waited_for_where_that_is_wanted() {
        let gone = error(FailureStage::Connect, FailureKind::Unknown);
        let patient = RetryLimits {
            unbounded_connections: true,
            ..limits(1, 1)
        };
        let waits = [360, 720, 1440, 2880, 5760, 5760, 5760];
        let expected: Vec<u128> = [180, 180, 180].into_iter().chain(waits).collect();
        assert_eq!(delays(patient, &gone, 0, expected.len()), expected);
        // Anything but a lost connection ends as ever.
        let broken = error(FailureStage::Exchange, FailureKind::Unknown);
        assert_eq!(delays(patient, &broken, 0, 99).len(), 3);
    }

    #[test]
    fn waiting_is_said_once_and_what_follows_it_has_fresh_loops() {
        let mut budget = RetryBudget::new(RetryLimits {
            unbounded_connections: true,
            ..limits(0, 1)
        });
        let gone = error(FailureStage::Connect, FailureKind::Unknown);
        let firsts: Vec<bool> = (0..4)
            .filter_map(|_| match budget.next(&gone, 0) {
                NextStep::Await { first, .. } => Some(first),
                _ => None,
            })
            .collect();
        assert_eq!(firsts, [true, false, false]);
        let warming_up = error(FailureStage::Status(502), FailureKind::ServerError);
        assert_eq!(
            budget.next(&warming_up, 0),
            NextStep::Reconnect {
                delay: Duration::from_millis(180),
                attempt: 1,
                max: 1
            }
        );
        assert_eq!(budget.next(&warming_up, 0), NextStep::GiveUp);
    }

    #[test]
    fn what_a_web_socket_loses_is_repeated_in_one_loop_and_first_without_a_word() {
        let lost = |stage, kind| ModelError {
            over_socket: true,
            ..error(stage, kind)
        };
        for lost in [
            lost(FailureStage::Stream, FailureKind::Unknown),
            lost(FailureStage::Status(500), FailureKind::ServerError),
        ] {
            let mut budget = RetryBudget::new(limits(4, 3));
            let steps: Vec<NextStep> = (0..4).map(|_| budget.next(&lost, 0)).collect();
            let notice = |attempt, delay| NextStep::Reconnect {
                delay: Duration::from_millis(delay),
                attempt,
                max: 3,
            };
            let quiet = NextStep::Quiet(Duration::from_millis(180));
            assert_eq!(
                steps,
                [quiet, notice(2, 360), notice(3, 720), NextStep::GiveUp]
            );
        }
    }

    #[test]
    fn another_way_is_taken_where_a_web_socket_cannot_be_had() {
        let mut budget = RetryBudget::new(RetryLimits::default());
        let refused = error(FailureStage::Upgrade, FailureKind::NotFound);
        assert_eq!(budget.next(&refused, 0), NextStep::GiveUp);
        let unauthorized = error(FailureStage::Upgrade, FailureKind::Unauthorized);
        assert_eq!(budget.next(&unauthorized, 0), FIRST);
        assert_eq!(budget.next(&unauthorized, 0), SECOND);
        assert_eq!(budget.next(&unauthorized, 0), NextStep::GiveUp);
    }

    #[test]
    fn a_request_beside_the_turns_own_has_loops_of_its_own_but_the_same_recovery() {
        let mut budget = RetryBudget::new(limits(0, 5));
        let mut beside = budget.beside(2);
        let broken = error(FailureStage::Stream, FailureKind::Unknown);
        let steps = [(); 3].map(|()| beside.next(&broken, 0));
        assert!(matches!(
            steps[1],
            NextStep::Reconnect {
                attempt: 2,
                max: 2,
                ..
            }
        ));
        assert_eq!(steps[2], NextStep::GiveUp);
        let refused = error(FailureStage::Status(401), FailureKind::Unauthorized);
        assert_eq!(budget.beside(2).next(&refused, 0), FIRST);
        assert_eq!(beside.next(&refused, 0), FIRST);
        budget.take_over(beside);
        assert_eq!(budget.next(&refused, 0), SECOND);
        assert_eq!(budget.next(&refused, 0), NextStep::GiveUp);
    }

    const FIRST: NextStep = NextStep::Recover(RecoveryStep::First);
    const SECOND: NextStep = NextStep::Recover(RecoveryStep::Second);

    #[test]
    fn one_recovery_in_two_steps_is_all_a_turn_gets() {
        let mut budget = RetryBudget::new(limits(1, 1));
        let refused = error(FailureStage::Status(401), FailureKind::Unauthorized);
        assert_eq!(budget.next(&refused, 0), FIRST);
        budget.succeeded();
        assert_eq!(budget.next(&refused, 0), SECOND);
        budget.succeeded();
        assert_eq!(budget.next(&refused, 0), NextStep::GiveUp);
    }
}
