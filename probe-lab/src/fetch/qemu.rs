//! QEMU: the one in the cache, else the installed one, else Debian's package unpacked into the cache; nothing is installed.

use crate::fetch::{Cache, FetchError, apt};
use crate::host::qemu::Qemu;

const FOLDER: &str = "qemu";
const PACKAGE: &str = "qemu-system-x86";

/// Gives QEMU, fetching it first if need be.
///
/// # Errors
///
/// [`FetchError::Qemu`], with the reason.
pub fn ensure(cache: &Cache) -> Result<Qemu, FetchError> {
    if let Some(qemu) = find(cache) {
        return Ok(qemu);
    }
    let fetched = || {
        let _lock = cache.lock()?;
        if let Some(qemu) = find(cache) {
            return Ok(qemu);
        }
        cache.step("QEMU: fetching Debian's package", || {
            apt::install(cache, PACKAGE, FOLDER, |_| Ok(()))
        })?;
        find(cache).ok_or_else(|| FetchError::Incomplete("qemu-system-x86_64".to_owned()))
    };
    fetched().map_err(|error| FetchError::Qemu(Box::new(error)))
}

/// The QEMU that is there. The cached one is asked first, so that what was measured with it can be measured again.
fn find(cache: &Cache) -> Option<Qemu> {
    Qemu::unpacked_at(&cache.path(FOLDER)).or_else(Qemu::on_path)
}
