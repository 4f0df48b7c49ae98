//! Rows of `docs/faults.md` that take minutes, or servers of their own to be killed, frozen, parted and wiped. `scripts/chaos` runs them.
//!
//! Each prints one line that begins with its row, so that the numbers are read without the test's own output.

mod broker;
mod ledger;
mod load;
mod retention;
mod servers;
mod upstream;

/// The row's numbers.
#[expect(clippy::print_stdout, reason = "scripts/chaos collects these lines")]
fn tell(row: &str, numbers: &str) {
    println!("row {row}: {numbers}");
}
