//! What went differently from the script, for people.

use std::fmt;

/// One thing that was expected and not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the script says.
    pub expected: String,
    /// What the request says.
    pub actual: String,
}

/// A request that did not go as the script says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The request is not the expected one. It was answered with an error, and its step is used up.
    Mismatch {
        /// The step, from 1.
        step: usize,
        /// The line of the script it starts at.
        line: usize,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// A request came after the last step.
    Surplus {
        /// How many requests the script answers.
        answered: u32,
    },
    /// The rehearsal ended before all steps were played.
    Unplayed {
        /// The first step that was not played (to its end), from 1.
        step: usize,
        /// The line of the script it starts at.
        line: usize,
        /// How many steps there are.
        steps: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch {
                step,
                line,
                differences,
            } => {
                write!(
                    f,
                    "step {step} (line {line}): the request is not what the script expects"
                )?;
                for difference in differences {
                    write!(
                        f,
                        "\n  - {}\n  + {}",
                        difference.expected, difference.actual
                    )?;
                }
                Ok(())
            }
            Self::Surplus { answered } => {
                write!(
                    f,
                    "a request came after the last step (the script answers {answered})"
                )
            }
            Self::Unplayed { step, line, steps } => {
                write!(
                    f,
                    "step {step} of {steps} (line {line}) was not played: no request came for it"
                )
            }
        }
    }
}

/// How a rehearsal went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many requests were answered as the script says.
    pub played: usize,
    /// What went differently, in order.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether everything went as the script says.
    pub fn is_success(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{} request{} played as scripted",
            self.played,
            plural(self.played)
        )?;
        for problem in &self.problems {
            write!(f, "\n{problem}")?;
        }
        Ok(())
    }
}
