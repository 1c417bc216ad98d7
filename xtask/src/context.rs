//! What every command needs to know: the workspace, the cache, the compiler.

use std::sync::Arc;

use anyhow::Result;
use probe_lab::fetch::Cache;

use crate::say::Say;
use crate::workspace::{Compiler, Workspace};

/// Found once, at the start of a command.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) workspace: Workspace,
    pub(crate) cache: Cache,
    pub(crate) compiler: Compiler,
}

impl Context {
    /// Asks cargo, the compiler and the environment; changes nothing but for making the cache folder.
    pub(crate) fn find() -> Result<Self> {
        let workspace = Workspace::find()?;
        let compiler = Compiler::find(&workspace)?;
        Ok(Self { workspace, cache: Cache::open(Arc::new(Say))?, compiler })
    }
}
