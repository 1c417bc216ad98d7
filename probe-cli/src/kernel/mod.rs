//! Facts about the running kernel: what it is, what it has, what it allows. No decisions.

pub mod btf;
pub mod facts;
pub(crate) mod functions;
pub mod gather;
pub mod privileges;
pub(crate) mod program;
pub mod symbols;
pub mod vmas;
