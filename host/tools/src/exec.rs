//! Commands: `exec_command` starts them, `write_stdin` goes on with those that still run.

mod command_tool;
mod manager;
mod process_group;
mod report;
mod session;
mod shell;
mod spawn;
mod stdin_tool;
mod terminal;
#[cfg(test)]
mod tests;
mod transcript;

pub(crate) use command_tool::ExecCommand;
pub use manager::ExecManager;
pub(crate) use stdin_tool::WriteStdin;
