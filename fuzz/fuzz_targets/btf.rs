//! BTF comes from the kernel, and must be read without trust all the same: it is the reader of our own.

#![no_main]

use libfuzzer_sys::fuzz_target;
use walkprobe::kernel::btf::Btf;

fuzz_target!(|data: &[u8]| {
    let Ok(btf) = Btf::parse(data.to_vec()) else { return };
    for name in ["a", "task_struct", ""] {
        let _ = (btf.functions(name), btf.tracepoint(name), btf.size(name), btf.enumerators(name));
        let _ = (btf.offset(name, "tgid"), btf.function_number(name), btf.structure_number(name));
    }
});
