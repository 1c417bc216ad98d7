//! A trace that is anybody's: read, taken into a session, and shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use walkprobe::{session::Session, stats::Stats, trace::reader::Reader};

/// What stands before the lines that are tried, unless they begin with a header of their own.
const HEADER: &[u8] = br#"{"kind":"header","format":2,"tool":"x","kernel":"6.1","machine":"x86_64","command":[],"pids":[7],"clock":{"name":"CLOCK_MONOTONIC","start":1,"realtime_offset":-1},"mode":"full","probes":[]}
"#;

fuzz_target!(|data: &[u8]| {
    let is_whole = data.starts_with(b"{\"kind\":\"header\"");
    let text = if is_whole { data.to_vec() } else { [HEADER, data].concat() };
    let Ok(mut reader) = Reader::new(&text[..]) else { return };
    let (mut session, mut stats) = (Session::default(), Stats::default());
    while let Ok(Some(input)) = reader.next_input() {
        stats.take(input.clone());
        session.take(input);
    }
    let _ = (reader.complaints(), stats.finish());
    for map in session.maps().values() {
        let set = map.snapshot();
        let bytes: u64 = set.iter().map(|batch| batch.run.count).fold(0, u64::saturating_add);
        // What stands somewhere stands there once.
        assert!(bytes <= u64::MAX >> 12, "{bytes} leaves");
        assert!(map.transactions().len() <= 4096);
    }
});
