//! What can go wrong when something is fetched.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::exec::ExecError;
use crate::fetch::series;

/// Why something is not in the cache and cannot be put there.
#[derive(Debug, Error)]
pub enum FetchError {
    /// No variable says where the cache is to be.
    #[error("no cache folder: set WALKPROBE_CACHE, XDG_CACHE_HOME or HOME")]
    NoCacheFolder,
    /// A file or folder of the cache could not be read or written.
    #[error("cannot {operation} {}; WALKPROBE_CACHE names another cache folder", path.display())]
    File {
        /// As in "read".
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program is missing, or failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// Packages are fetched with Debian's tools.
    #[error("this machine is not Debian, whose packages are fetched here")]
    NotDebian,
    /// No address is known from which packages could be fetched.
    #[error("this machine's apt configuration names no Debian archive")]
    NoArchive,
    /// The archive did not answer.
    #[error(
        "no list of Debian packages could be fetched; is this machine online? apt-get said: {said}"
    )]
    NoLists {
        /// Its warnings and errors.
        said: String,
    },
    /// A package has not what is wanted of it.
    #[error("the package has no {0}")]
    Incomplete(String),
    /// A name that stands for no kernel.
    #[error("no kernel series `{name}`; there are {}", series::ALL.join(", "))]
    NoSeries {
        /// The name.
        name: String,
    },
    /// A name that stands for no kernel and is no file.
    #[error("`{name}` is no file and none of the series {}", series::ALL.join(", "))]
    NoKernel {
        /// The name.
        name: String,
    },
    /// No list that could be read has the kernel.
    #[error("no suite of Debian that could be read has a kernel of series {0}")]
    NotToBeHad(String),
    /// What is known of a kernel cannot be written down.
    #[error("cannot describe the kernel")]
    Manifest(#[from] serde_json::Error),
    /// A kernel is neither cached nor can it be fetched.
    #[error(
        "kernel {series} cannot be had; cure: `--kernel PATH` takes any bzImage with BTF \
         (CONFIG_DEBUG_INFO_BTF)"
    )]
    Kernel {
        /// Its series.
        series: String,
        /// Why.
        source: Box<FetchError>,
    },
    /// QEMU is neither there nor can it be fetched.
    #[error(
        "QEMU cannot be had; cure: install it (Debian, Ubuntu: qemu-system-x86; Fedora: \
         qemu-system-x86-core; Arch: qemu-system-x86; openSUSE: qemu-x86)"
    )]
    Qemu(#[source] Box<FetchError>),
}

impl FetchError {
    pub(crate) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}

/// An error with all its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_behind_the_error() {
        let missing = FetchError::File {
            operation: "read",
            path: "/c".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        let error = FetchError::Kernel { series: "6.1".into(), source: Box::new(missing) };
        let text = with_causes(&error);
        assert!(text.starts_with("kernel 6.1 cannot be had; cure:"), "{text}");
        assert!(text.ends_with(": entity not found"), "{text}");
    }
}
