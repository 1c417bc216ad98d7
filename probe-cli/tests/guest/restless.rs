//! A process that changes its address space as fast as it can, from several threads, and has some
//! memory in the middle of it that stays as it is.

use std::{
    convert::Infallible, ffi::c_void, fs::File, io, os::fd::AsRawFd as _, sync::Barrier, thread,
};

use crate::{
    memory::{Area, PAGE, PMD},
    roles,
};

/// Memory that does not change: every second page is there.
pub(crate) const CALM: usize = 2 * PMD;
/// Pages that each thread has for itself.
const PAGES: usize = 6 * PMD / PAGE;
const THREADS: u64 = 3;

const MADV_POPULATE_WRITE: i32 = 23;
const MADV_COLLAPSE: i32 = 25;

/// Tells where the calm memory is, and changes all else until it is killed.
pub(crate) fn play() -> io::Result<Infallible> {
    let zeroes = File::open("/dev/zero")?;
    let calm = Area::base(CALM)?;
    for page in (0..CALM).step_by(2 * PAGE) {
        calm.write(page..page + PAGE);
    }
    roles::say(&[usize::try_from(calm.range().start).unwrap_or(0)])?;
    // Before the first change all is there that anybody maps: a hole must stay one, lest a stack be
    // put into it.
    let ready = Barrier::new(usize::try_from(THREADS).unwrap_or(1));
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (zeroes, ready) = (&zeroes, &ready);
            scope.spawn(move || change(seed, zeroes, ready));
        }
    });
    Err(io::Error::other("its memory could not be reserved"))
}

/// Xorshift: the same for each run, and different for each thread.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit
    }
}

/// Whatever the kernel says: what is refused changes nothing, and the next call follows.
#[expect(unsafe_code, reason = "calls that change an address space")]
fn change(seed: u64, zeroes: &File, ready: &Barrier) {
    let Ok(area) = Area::huge_or_base(PAGES * PAGE) else { return };
    let first = usize::try_from(area.range().start).unwrap_or(0);
    let mut random = Random(seed * 0x9e37_79b9_7f4a_7c15);
    ready.wait();
    loop {
        // Now and then whole blocks, which huge leaves can map.
        let unit = if random.below(8) != 0 { 1 } else { PMD / PAGE };
        let most = if unit == 1 { 40 } else { PAGES / 3 };
        let count = (random.below(most) / unit + 1) * unit;
        let place = |random: &mut Random| {
            let page = random.below(PAGES - count + 1) / unit * unit;
            (first + page * PAGE) as *mut c_void
        };
        let (start, other, bytes) = (place(&mut random), place(&mut random), count * PAGE);
        let rights = [
            libc::PROT_NONE,
            libc::PROT_READ,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::PROT_READ | libc::PROT_WRITE,
        ][random.below(4)];
        let advice = [
            libc::MADV_DONTNEED,
            libc::MADV_HUGEPAGE,
            libc::MADV_NOHUGEPAGE,
            MADV_COLLAPSE,
            MADV_POPULATE_WRITE,
        ][random.below(5)];
        let fixed = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: all of it stays within memory that this thread alone has, that nobody refers to,
        // and that only the kernel writes to.
        unsafe {
            match random.below(6) {
                0 => drop(libc::munmap(start, bytes)),
                1 => {
                    libc::mmap(start, bytes, rights, fixed | libc::MAP_NORESERVE, -1, 0);
                }
                2 => {
                    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
                    libc::mremap(start, bytes, bytes, flags, other);
                }
                3 => drop(libc::mprotect(start, bytes, rights)),
                4 => drop(libc::madvise(start, bytes, advice)),
                // Touches what can be written to; the rest is an error and no signal.
                _ => drop(libc::read(zeroes.as_raw_fd(), start, bytes)),
            }
        }
    }
}
