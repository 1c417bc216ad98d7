//! Which Debian mirror this machine uses: read from its own apt configuration, lists or no lists.

use crate::fetch::FetchError;

/// The addresses from which this machine gets Debian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// The archive.
    pub(crate) main: String,
    /// The archive of security updates.
    pub(crate) security: String,
}

/// One suite that the machine's apt would ask for.
#[derive(Debug, PartialEq, Eq)]
struct Source<'a> {
    base: &'a str,
    suite: &'a str,
}

impl Mirror {
    /// Chooses from the output of `apt-get update --print-uris`, which needs neither lists nor a network.
    ///
    /// A third party's archive may use Debian's suite names; Debian's own is the one that has the updates
    /// suite too, or whose address ends like an archive's. A wrong guess fails the signature check.
    pub(crate) fn from_uris(uris: &str) -> Result<Self, FetchError> {
        let sources: Vec<Source> = uris.lines().filter_map(source).collect();
        let main = sources
            .iter()
            .filter(|source| !is_security(source))
            .max_by_key(|source| {
                (has_updates(&sources, source.base), source.base.ends_with("/debian"))
            })
            .ok_or(FetchError::NoArchive)?
            .base;
        let security = sources
            .iter()
            .find(|source| is_security(source))
            .map_or_else(|| format!("{main}-security"), |source| source.base.to_owned());
        Ok(Self { main: main.to_owned(), security })
    }
}

fn source(line: &str) -> Option<Source<'_>> {
    let uri = line.strip_prefix('\'')?.split('\'').next()?;
    let release = uri.strip_suffix("/InRelease").filter(|uri| !uri.starts_with("cdrom:"))?;
    let (base, suite) = release.rsplit_once("/dists/")?;
    Some(Source { base, suite })
}

fn is_security(source: &Source) -> bool {
    source.suite.ends_with("-security") || source.suite.ends_with("/updates")
}

fn has_updates(sources: &[Source], base: &str) -> bool {
    sources.iter().any(|source| source.base == base && source.suite.ends_with("-updates"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_told_from_other_archives() -> Result<(), FetchError> {
        let uris = "\
'http://third.example/linux/debian/dists/bookworm/InRelease' third 0 
'http://mirror.example/d/dists/bookworm/InRelease' a 0 
'http://mirror.example/d/dists/bookworm/main/binary-amd64/Packages.xz' b 0 
'http://mirror.example/d/dists/bookworm-updates/InRelease' c 0 
'http://mirror.example/s/dists/bookworm-security/InRelease' d 0 
";
        let mirror = Mirror::from_uris(uris)?;
        assert_eq!(mirror.main, "http://mirror.example/d");
        assert_eq!(mirror.security, "http://mirror.example/s");
        Ok(())
    }

    #[test]
    fn security_is_guessed_when_not_configured() -> Result<(), FetchError> {
        let mirror =
            Mirror::from_uris("'http://mirror.example/debian/dists/sid/InRelease' a 0 \n")?;
        assert_eq!(mirror.security, "http://mirror.example/debian-security");
        Ok(())
    }

    #[test]
    fn no_archive_is_an_error() {
        assert!(Mirror::from_uris("").is_err());
    }
}
