//! What people run by hand: everything in one process, the demo, and the operators' commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::command_line::son1k()
}
