//! The executable of the simulator, alone. What it is made of is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::command_line::service(bootstrap::Role::Simulator, server::simulator::simulator)
}
