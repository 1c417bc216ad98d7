//! ftrace's function_graph on some functions (Documentation/trace/ftrace.rst).

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

const TRACING: &str = "/sys/kernel/tracing";

fn write(file: &str, text: &str) -> Result<()> {
    let path = Path::new(TRACING).join(file);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Traces the calls of these functions, and of nothing else.
pub(crate) fn start(functions: &[String]) -> Result<()> {
    write("tracing_on", "0")?;
    write("trace", "")?;
    write("set_ftrace_filter", &functions.join("\n"))?;
    write("current_tracer", "function_graph")?;
    write("tracing_on", "1")
}

/// Ends it, and tells how many calls there were: two records for each.
pub(crate) fn stop() -> Result<u64> {
    write("tracing_on", "0")?;
    let mut records = 0;
    for cpu in fs::read_dir(Path::new(TRACING).join("per_cpu"))? {
        let text = fs::read_to_string(cpu?.path().join("stats"))?;
        // What was overwritten by what came later has been recorded too.
        for name in ["entries: ", "overrun: "] {
            let number = text.lines().find_map(|line| line.strip_prefix(name));
            records +=
                number.and_then(|number| number.trim().parse::<u64>().ok()).context("stats")?;
        }
    }
    write("current_tracer", "nop")?;
    write("set_ftrace_filter", "")?;
    Ok(records / 2)
}
