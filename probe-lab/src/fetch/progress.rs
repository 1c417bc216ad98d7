//! Who is told what is going on.

use std::fmt::Debug;

/// Takes note of work that takes a while.
pub trait Progress: Debug + Send + Sync {
    /// Work begins. What is given back is called when it has ended, with whether it went well.
    fn begin(&self, what: &str) -> Box<dyn FnOnce(bool)>;

    /// Something else that a person may want to know, in a line or more.
    fn note(&self, text: &str);
}
