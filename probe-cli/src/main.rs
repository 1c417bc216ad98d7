//! The walkprobe command.
fn main() {}
