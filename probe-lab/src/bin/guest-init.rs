//! The first process of a guest.

fn main() {
    probe_lab::guest::run();
}
