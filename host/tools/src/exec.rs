//! Commands: `exec_command` starts them, `write_stdin` goes on with those that still run.

mod command_tool;
mod life;
mod login;
mod manager;
mod process_group;
mod report;
mod session;
mod shell;
mod spawn;
mod state;
mod stdin_tool;
mod terminal;
#[cfg(test)]
mod tests;
mod transcript;
mod trial;

pub(crate) use command_tool::ExecCommand;
pub use manager::ExecManager;
pub(crate) use report::aborted;
pub(crate) use stdin_tool::WriteStdin;
