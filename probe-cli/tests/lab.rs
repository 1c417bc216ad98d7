//! `walkprobe lab`: guests that are booted by the command itself.
//!
//! Run by `cargo xtask test`, which says in `WALKPROBE_BIN` which static walkprobe to test, in `WALKPROBE_LAB_KERNELS` on which series,
//! and in `WALKPROBE_CACHE` where they are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How often the script tells the clock.
const LOOPS: usize = 10;
/// How often the same machine is booted, to see that it does the same.
const BOOTS: usize = 3;

/// A measurement with many numbers: what the clock says after each of some loops over walkers, what `walkprobe walks` counts of
/// some more, with sums and histograms of nanoseconds, and what the kernel has counted of everything.
const MEASURE: &str = r#"
now() { sed -n 's/^now at //p' /proc/timer_list; }
now
for walker in smaps pagemap mincore; do
    for round in 1 2 3; do
        walkprobe workload walks mixed --rounds 5 --walker $walker > /dev/null
        cat /proc/self/smaps_rollup > /dev/null
        now
    done
done
mkfifo /tmp/in
: > /tmp/driven
walkers="--walker smaps --walker pagemap --walker mincore"
walkprobe workload walks mixed --rounds 20 --wait $walkers < /tmp/in > /tmp/driven &
exec 3> /tmp/in
until grep -q '^ready' /tmp/driven; do sleep 0.1; done
pid=$(sed -n 's/^ready //p' /tmp/driven)
: > /tmp/said
walkprobe walks -p "$pid" --json $walkers > walks.json 2> /tmp/said &
counter=$!
until grep -q counting /tmp/said; do
    kill -0 $counter || { cat /tmp/said; exit 1; }
    sleep 0.1
done
echo go >&3
until grep -q '^{' /tmp/driven; do sleep 0.1; done
kill -INT $counter
wait $counter || exit 1
exec 3>&-
wait
cat walks.json
walkprobe bench --suite quick --samples 2 --runs 2
cat /proc/timer_list /proc/interrupts /proc/stat /proc/vmstat /proc/self/sched
head -c 16 /dev/urandom | od -x
dmesg
"#;

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

fn kernels() -> Vec<String> {
    variable("WALKPROBE_LAB_KERNELS").split(',').map(str::to_owned).collect()
}

fn lab(words: &[&str]) -> Command {
    let mut command = Command::new(variable("WALKPROBE_BIN"));
    command.arg("lab").args(words);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether it ended with this status, and said so in one sentence that has these words.
#[track_caller]
fn assert_fails(output: &Output, status: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

/// Puts the same machine together in a folder, under names and with surroundings that differ from boot to boot.
fn measure(kernel: &str, boot: usize) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::Builder::new().prefix(&"t".repeat(boot + 1)).tempdir().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, MEASURE).unwrap();
    let add = format!("{}:/root/measure", script.display());
    let copy = format!("walks.json:{}", folder.path().display());
    let words = ["--kernel", kernel, "--deterministic", "--timeout", "300"];
    let more = ["--add", &add, "--copy-out", &copy, "--", "sh", "measure"];
    let mut command = lab(&words);
    command
        .args(more)
        .env("TMPDIR", folder.path())
        .env("TERM", format!("terminal-{boot}"))
        .env("WALKPROBE_TEST", "x".repeat(1000 * boot))
        .current_dir(folder.path());
    let output = run(&mut command);
    assert!(output.status.success(), "{kernel}: {} {}", output.status, stderr(&output));
    let report = fs::read(folder.path().join("walks.json")).unwrap();
    (output.stdout, report)
}

/// A report without what was measured by the clock: what was counted, of what, on which kernel.
fn counted(report: &[u8]) -> Value {
    fn is_timed(name: &str) -> bool {
        ["seconds", "calibration", "durations", "loops", "own", "ratios"].contains(&name)
            || name.split('_').any(|word| ["ns", "second"].contains(&word))
    }
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, _| !is_timed(name));
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_slice(report).unwrap();
    strip(&mut value);
    value
}

/// What the clock said after each loop, in instructions since the guest began.
fn clock(text: &str) -> Vec<u64> {
    let lines = text.lines().take(LOOPS);
    lines.filter_map(|line| line.strip_suffix(" nsecs")?.parse().ok()).collect()
}

/// What `walkprobe bench` printed among the rest.
fn bench_of(text: &str) -> Value {
    counted(text.lines().find(|line| line.starts_with("{\"bench\"")).unwrap().as_bytes())
}

#[test]
fn a_deterministic_machine_counts_the_same_again_with_the_oldest_kernel() {
    counts_the_same_again(&kernels()[0]);
}

#[test]
fn a_deterministic_machine_counts_the_same_again_with_the_newest_kernel() {
    counts_the_same_again(kernels().last().unwrap());
}

fn counts_the_same_again(kernel: &str) {
    let (output, report) = measure(kernel, 0);
    // That they are equal proves nothing when nothing was measured.
    let text = String::from_utf8_lossy(&output);
    let times = clock(&text);
    assert_eq!(times.len(), LOOPS, "{text}");
    assert!(times.is_sorted_by(|before, after| before < after), "{times:?}");
    let walks: Value = serde_json::from_slice(&report).unwrap();
    for walker in ["smaps", "pagemap", "mincore"] {
        let walkers = walks["walkers"].as_array().unwrap();
        let rows = &walkers.iter().find(|found| found["name"] == walker).unwrap()["rows"];
        for row in rows.as_array().unwrap() {
            let buckets = row["durations"].as_array().unwrap();
            assert!(row["ns"].as_u64().unwrap() > 0 && !buckets.is_empty(), "{walker}: {row}");
        }
        let paths: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["path"]).collect();
        assert!(paths.contains(&&"generic".into()) && paths.contains(&&"hugetlb".into()));
    }
    assert!(text.contains("\"clock\":\"instructions\""), "bench does not say what its clock is");
    for boot in 1..BOOTS {
        let (again, report_again) = measure(kernel, boot);
        let again = String::from_utf8_lossy(&again);
        assert_eq!(counted(&report), counted(&report_again), "kernel {kernel}, boot {boot}");
        assert_eq!(bench_of(&text), bench_of(&again), "kernel {kernel}, boot {boot}");
        // Not equal to the last instruction (docs/lab.md says how much they differ).
        let times_again = clock(&again);
        assert_eq!(times_again.len(), LOOPS, "{again}");
        for (one, other) in times.iter().zip(times_again) {
            assert!(one.abs_diff(other) <= one / 1000, "kernel {kernel}: {one} {other}");
        }
    }
}

/// A file of `walkprobe bench` over a kernel in deterministic guests.
fn bench(kernel: &str, folder: &Path, name: &str, more: &[&str]) -> String {
    let file = folder.join(name).display().to_string();
    let mut command = Command::new(variable("WALKPROBE_BIN"));
    command.args(["bench", "--kernel", kernel, "--deterministic", "--suite", "quick"]);
    command.args(["--runs", "3", "--timeout", "600", "-o", &file]).args(more);
    let output = run(&mut command);
    assert!(output.status.success(), "{kernel} {more:?}: {}", stderr(&output));
    file
}

fn check(words: &[&str]) -> (Option<i32>, String) {
    let output = run(Command::new(variable("WALKPROBE_BIN")).arg("check").args(words));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &stderr(&output))
}

/// The gate of this repository: what walkprobe measures of a kernel is what it measured when the baseline was made
/// (docs/check.md says how).
#[test]
fn walkers_are_what_the_baseline_says() {
    let baseline = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/baseline/quick.json");
    let folder = tempfile::tempdir().unwrap();
    let now = bench(&kernels()[0], folder.path(), "now.json", &[]);
    let kernel = |file: &str| {
        let results: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        results["kernel"].clone()
    };
    let (status, text) = check(&["--baseline", baseline, &now]);
    if kernel(baseline) != kernel(&now) {
        eprintln!("not judged: the baseline is of another kernel: {}", kernel(&now));
        assert!(matches!(status, Some(0 | 1 | 3)), "{status:?}: {text}");
        return;
    }
    assert_eq!(status, Some(0), "{text}");
}

/// The same kernel passes, although something differs that should not matter; with one callback slower by a percent of its
/// instructions, that is found, and nothing else.
#[test]
fn a_slower_callback_is_found_and_no_other() {
    const ID: &str = "time:thp/pagemap/generic/pmd";
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernels().pop().unwrap();
    let before = bench(&kernel, folder.path(), "before.json", &[]);
    let same = bench(&kernel, folder.path(), "same.json", &["--append", "hugepages=65"]);
    let slow = ["--slow", "pagemap_pmd_range=1"];
    let slower = bench(&kernel, folder.path(), "slower.json", &slow);

    let (status, text) = check(&["--baseline", &before, &same]);
    assert_eq!(status, Some(0), "{text}");
    assert!(!text.contains("change"), "{text}");

    let (status, json) = check(&["--baseline", &before, &slower, "--format", "json"]);
    assert_eq!(status, Some(1), "{json}");
    let report: Value = serde_json::from_str(&json).unwrap();
    let findings = report["comparisons"][0]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{json}");
    assert_eq!(findings[0]["id"], ID, "{json}");
    let ratio = findings[0]["interval"]["ratio"].as_f64().unwrap();
    assert!(ratio > 1.005 && ratio < 1.02, "{ratio}: that is not a percent");

    let (status, text) = check(&["explain", ID, &before, &slower]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("Calls by duration"), "{text}");

    // Nothing is said of kernels measured by the clock and by instructions.
    let mut timed: Value = serde_json::from_str(&fs::read_to_string(&before).unwrap()).unwrap();
    timed["clock"] = "time".into();
    let other = folder.path().join("timed.json");
    fs::write(&other, timed.to_string()).unwrap();
    let (status, text) = check(&["--baseline", &before, other.to_str().unwrap()]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("in the same mode"), "{text}");
}

#[test]
fn the_commands_status_output_and_files_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo out; echo err >&2; echo data > /tmp/f; cat; exit 7";
    let copies = ["/tmp/f:f", "/tmp/none", "/dev/zero:zero"].map(|copy| ["--copy-out", copy]);
    let mut command = lab(&["--log", "kernel.log"]);
    command.args(copies.as_flattened()).args(["--", "sh", "-c", script]);
    command.current_dir(folder.path()).stdin(std::process::Stdio::null());
    let output = run(&mut command);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    let why = "cannot copy /tmp/none out of the guest: No such file";
    assert_fails(&output, 7, &["err\n", why, "/dev/zero out of the guest: it is no regular file"]);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files, ["f", "kernel.log"].map(|name| folder.path().join(name)));
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "data\n");
    assert!(fs::read_to_string(&files[1]).unwrap().contains("Linux version"));
}

#[test]
fn a_command_that_takes_too_long_is_stopped() {
    let begin = Instant::now();
    let output = run(&mut lab(&["--timeout", "1", "--", "sleep", "1000"]));
    assert_fails(&output, 124, &["still running after 1 s", "--timeout"]);
    assert!(begin.elapsed() < Duration::from_mins(5));
}

#[test]
fn a_panic_is_told_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = lab(&["--", "sh", "-c", "echo c > /proc/sysrq-trigger"]);
    let output = run(command.env("TMPDIR", folder.path()));
    assert_fails(&output, 122, &["Kernel panic - not syncing: sysrq triggered crash"]);
    // The log is named, and kept.
    let logs: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_fails(&output, 122, &[&logs[0].path().display().to_string()]);
}

#[test]
fn what_cannot_be_booted_is_told_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("bzImage");
    fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    let output = run(&mut lab(&["--kernel", "/no/bzImage", "--", "true"]));
    assert_fails(&output, 125, &["`/no/bzImage` is no file and none of the series 5.10, 6.1,"]);
    let output = run(&mut lab(&["--kernel", empty, "--", "true"]));
    assert_fails(&output, 125, &[empty, "is no bzImage", "make bzImage"]);
    let output = run(&mut lab(&["--qemu", "/no/qemu", "--deterministic", "--", "true"]));
    assert_fails(&output, 125, &["cannot start QEMU (/no/qemu)", "install it"]);
    let output = run(&mut lab(&["--copy-out", "/tmp/f:/no/folder/f", "--", "true"]));
    assert_fails(&output, 125, &["cannot write /no/folder/f"]);
}

#[test]
fn without_qemu_the_error_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    // A kernel that is no series is asked for by its path: nothing is to be fetched but QEMU.
    let kernel = Path::new(&variable("WALKPROBE_CACHE")).join("kernels/7.2/vmlinuz");
    let mut command = lab(&["--kernel", kernel.to_str().unwrap(), "--", "true"]);
    command.env("PATH", folder.path()).env("WALKPROBE_CACHE", folder.path());
    assert_fails(&run(&mut command), 125, &["QEMU cannot be had; cure: install it"]);
}

#[test]
fn a_walkprobe_that_wants_libraries_refuses() {
    // cargo's own, which is not static unless somebody sets crt-static.
    let output = run(Command::new(env!("CARGO_BIN_EXE_walkprobe")).args(["lab", "--", "doctor"]));
    if cfg!(target_feature = "crt-static") {
        return;
    }
    assert_fails(&output, 125, &["is not static", "cargo xtask build"]);
}
