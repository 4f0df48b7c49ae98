//! Tells cargo that the migrations are part of this crate: `sqlx::migrate!` does not notice a new file by itself.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/postgres");
}
