//! Against the real things: the npm packages of the system we are compatible with, unmodified. These tests need node and
//! the packages, which `.ci/run` installs where npm is; where they are missing, each says that it was not run, and why.

mod cross_resume;
pub(crate) mod installed;
mod sdk;
