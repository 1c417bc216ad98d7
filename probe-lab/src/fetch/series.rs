//! The kernel series that walkprobe is tested on, and which package holds the newest kernel of each.

use std::str::FromStr as _;

use debversion::Version;

use crate::fetch::apt::Candidate;

/// All series, oldest first.
pub const ALL: &[&str] =
    &["5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "7.3"];
/// The series that are fetched and tested unless told otherwise.
pub const DEFAULT: &[&str] = &["6.1", "6.12", "6.18", "7.2"];

/// The newest of [`DEFAULT`], which a guest has unless told otherwise.
pub const NEWEST_DEFAULT: &str = "7.2";

/// The names of all packages that hold a kernel image or belong to one.
pub const PACKAGES: &str = "^linux-(image|binary|base|modules)-[0-9].*-cloud-amd64$";
const FLAVOUR: &str = "-cloud-amd64";

/// The packages of one kernel, all of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPackages {
    /// What `uname -r` says there.
    pub release: String,
    /// The version of the packages.
    pub version: String,
    /// Their names: one for older kernels; image, modules and configuration apart for newer ones.
    pub names: Vec<String>,
}

/// The newest kernel of a series among all that can be had.
#[must_use]
pub fn newest(series: &str, candidates: &[Candidate]) -> Option<KernelPackages> {
    let best = candidates
        .iter()
        .filter(|candidate| belongs(&candidate.version, series))
        .filter_map(|candidate| Some((image(candidate)?, candidate)))
        .max_by(|(one, a), (other, b)| {
            // Of one version there is a metapackage (`linux-image-6.1-cloud-amd64`), whose release is shorter.
            let versions = version(&a.version).cmp(&version(&b.version));
            versions.then(one.len().cmp(&other.len()))
        })?;
    let (release, image) = best;
    let has = |name: &str| {
        candidates
            .iter()
            .any(|candidate| candidate.package == name && candidate.version == image.version)
    };
    let split: Vec<String> = ["binary", "modules", "base"]
        .iter()
        .map(|part| format!("linux-{part}-{release}"))
        .filter(|name| has(name))
        .collect();
    let whole = vec![format!("linux-image-{release}")];
    Some(KernelPackages {
        release: release.to_owned(),
        version: image.version.clone(),
        names: if split.is_empty() { whole } else { split },
    })
}

/// `5.10.0-46-cloud-amd64` of `linux-image-5.10.0-46-cloud-amd64`.
fn image(candidate: &Candidate) -> Option<&str> {
    let name = &candidate.package;
    let release =
        name.strip_prefix("linux-image-").or_else(|| name.strip_prefix("linux-binary-"))?;
    release.ends_with(FLAVOUR).then_some(release)
}

/// Whether `6.12.117-1` is of series `6.12`; a release candidate counts.
fn belongs(version: &str, series: &str) -> bool {
    version.strip_prefix(series).is_some_and(|rest| rest.starts_with(['.', '~', '-']))
}

fn version(text: &str) -> Option<Version> {
    Version::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(list: &[(&str, &str)]) -> Vec<Candidate> {
        let candidate = |(package, version): &(&str, &str)| Candidate {
            package: format!("linux-{package}-cloud-amd64"),
            version: (*version).to_owned(),
        };
        list.iter().map(candidate).collect()
    }

    #[test]
    fn the_newest_version_wins_and_a_backport_is_older_than_what_it_was_made_of() {
        let all = candidates(&[
            ("image-6.12.107+deb13", "6.12.107-1"),
            ("image-6.12.94+deb13", "6.12.94-1"),
            ("image-6.12.107+deb12", "6.12.107-1~deb12u1"),
        ]);
        let found = newest("6.12", &all).map(|kernel| kernel.release);
        assert_eq!(found.as_deref(), Some("6.12.107+deb13-cloud-amd64"));
    }

    #[test]
    fn a_metapackage_is_no_kernel() {
        let all = candidates(&[("image-6.1", "6.1.180-1"), ("image-6.1.0-52", "6.1.180-1")]);
        let found = newest("6.1", &all).map(|kernel| kernel.names);
        assert_eq!(found, Some(vec!["linux-image-6.1.0-52-cloud-amd64".to_owned()]));
    }

    #[test]
    fn new_kernels_come_in_parts() {
        let all = candidates(&[
            ("image-7.3", "7.3~rc7-1~exp1"),
            ("binary-7.3", "7.3~rc7-1~exp1"),
            ("base-7.3", "7.3~rc7-1~exp1"),
            ("modules-7.3", "7.3~rc7-1~exp1"),
        ]);
        let names = newest("7.3", &all).map(|kernel| kernel.names).unwrap_or_default();
        assert_eq!(
            names,
            ["binary", "modules", "base"].map(|part| format!("linux-{part}-7.3-cloud-amd64"))
        );
    }

    #[test]
    fn a_guest_has_the_newest_of_those_that_are_tested() {
        assert_eq!(DEFAULT.last(), Some(&NEWEST_DEFAULT));
    }

    #[test]
    fn series_are_not_confused() {
        let all = candidates(&[("image-6.12.1", "6.12.1-1"), ("image-6.1.0-9", "6.1.9-1")]);
        let found = newest("6.1", &all).map(|kernel| kernel.release);
        assert_eq!(found.as_deref(), Some("6.1.0-9-cloud-amd64"));
        assert_eq!(newest("5.10", &all), None);
    }
}
