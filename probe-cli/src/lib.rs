//! walkprobe.
