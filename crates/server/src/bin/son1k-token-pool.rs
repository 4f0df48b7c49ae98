//! The executable of the token pool, alone. What it is made of is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::command_line::service(bootstrap::Role::TokenPool, server::token_pool::token_pool)
}
