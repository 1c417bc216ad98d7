//! apt-get with state of its own: packages of other Debian suites, without touching the machine's sources or lists.
//!
//! What is downloaded is checked as always: the release files by the signatures of the installed keyring, the
//! lists by the release files, the packages by the lists. A suite whose keys are newer than the installed
//! keyring is reached through the package `debian-archive-keyring` of a suite that the installed one vouches for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exec;
use crate::fetch::mirror::Mirror;
use crate::fetch::{Cache, FetchError};

type Result<T> = std::result::Result<T, FetchError>;

const KEYRING: &str = "usr/share/keyrings/debian-archive-keyring.gpg";

/// Suites that hold kernels, bpftrace or the compiler's sources, oldest first.
const SUITES: &[&str] =
    &["bullseye", "bookworm", "trixie", "trixie-backports", "sid", "experimental"];
/// Suites of the archive of security updates.
const SECURITY_SUITES: &[&str] = &["bullseye-security", "bookworm-security", "trixie-security"];

/// Settings on top of the machine's own (which keep its proxies and credentials).
const SETTINGS: &str = r#"
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"#;

/// One version of a package that can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub package: String,
    /// The version, as Debian writes it.
    pub version: String,
}

/// A private apt.
#[derive(Debug)]
pub struct Apt {
    folder: PathBuf,
    conf: PathBuf,
}

impl Apt {
    /// The suites of [`SUITES`], whatever this machine runs; packages to look into, not to install.
    ///
    /// # Errors
    ///
    /// This machine is not Debian, or the cache cannot be written to.
    pub fn all_suites(cache: &Cache) -> Result<Self> {
        let apt = Self::new(cache, "apt/suites")?;
        let parts = apt.folder.join("parts");
        fs::create_dir_all(&parts).map_err(FetchError::file("create", parts))?;
        write(&apt.folder.join("status"), "")?;
        let here = apt.folder.display();
        apt.configure(&format!(
            "Dir::Etc::SourceList \"{here}/sources.list\";\nDir::Etc::SourceParts \"{here}/parts\";\n\
             Dir::State::status \"{here}/status\";\n\
             Acquire::AllowInsecureRepositories \"false\";\n\
             APT::Get::AllowUnauthenticated \"false\";\n"
        ))?;
        Ok(apt)
    }

    /// The suites that this machine installs from, with its own idea of what is installed.
    ///
    /// # Errors
    ///
    /// This machine is not Debian, or the cache cannot be written to.
    pub fn this_machine(cache: &Cache) -> Result<Self> {
        let apt = Self::new(cache, "apt/machine")?;
        apt.configure("")?;
        Ok(apt)
    }

    fn new(cache: &Cache, name: &str) -> Result<Self> {
        if exec::on_path("apt-get").is_none() || !Path::new("/").join(KEYRING).is_file() {
            return Err(FetchError::NotDebian);
        }
        let folder = cache.path(name);
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).map_err(FetchError::file("create", part))?;
        }
        let conf = folder.join("apt.conf");
        Ok(Self { folder, conf })
    }

    fn configure(&self, more: &str) -> Result<()> {
        let here = self.folder.display();
        let text = format!(
            "{SETTINGS}Dir::State::Lists \"{here}/lists\";\nDir::Cache \"{here}/cache\";\n{more}"
        );
        write(&self.conf, &text)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg("-c").arg(&self.conf);
        command
    }

    /// Whether the lists have been fetched at least once.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        self.folder.join("updated").is_file()
    }

    /// Fetches the lists of [`Apt::all_suites`]. A suite that cannot be had is left out, with a note.
    ///
    /// # Errors
    ///
    /// No suite can be had at all.
    pub fn update_suites(&self, cache: &Cache) -> Result<()> {
        let machine = Self::this_machine(cache)?;
        let uris = exec::output(machine.command("apt-get").args(["update", "--print-uris"]))?;
        let mirror = Mirror::from_uris(&uris)?;
        let own = self.folder.join("keyring").join(KEYRING);
        let keyring = if own.is_file() { own } else { Path::new("/").join(KEYRING) };
        self.write_sources(&mirror, &keyring)?;
        let mut complaint = self.try_update()?;
        if complaint.contains("NO_PUBKEY") {
            cache.progress().note(
                "some suites have newer keys: fetching the keyring through those that verify",
            );
            self.extend_keyring()?;
            self.write_sources(&mirror, &self.folder.join("keyring").join(KEYRING))?;
            complaint = self.try_update()?;
        }
        let lists = self.folder.join("lists");
        let mut files = fs::read_dir(&lists).map_err(FetchError::file("read", &lists))?.flatten();
        if !files.any(|file| file.file_name().to_string_lossy().contains("_Packages")) {
            return Err(FetchError::NoLists { said: complaint });
        }
        for line in complaint.lines() {
            cache.progress().note(line);
        }
        write(&self.folder.join("updated"), "")
    }

    /// Fetches the lists of [`Apt::this_machine`].
    ///
    /// # Errors
    ///
    /// apt-get fails.
    pub fn update(&self) -> Result<()> {
        exec::output(self.command("apt-get").arg("update"))?;
        Ok(())
    }

    /// Runs the update; gives apt's warnings and errors, which are no failure as long as some suite was had.
    fn try_update(&self) -> Result<String> {
        let output = exec::whole_output(self.command("apt-get").args(["-q", "update"]))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let complaints =
            said.lines().filter(|line| line.starts_with("E:") || line.starts_with("W:"));
        Ok(complaints.collect::<Vec<_>>().join("\n"))
    }

    fn write_sources(&self, mirror: &Mirror, keyring: &Path) -> Result<()> {
        let line = |base: &str, suite: &str| {
            format!("deb [arch=amd64 signed-by={}] {base} {suite} main\n", keyring.display())
        };
        let main = SUITES.iter().map(|suite| line(&mirror.main, suite));
        let security = SECURITY_SUITES.iter().map(|suite| line(&mirror.security, suite));
        write(&self.folder.join("sources.list"), &main.chain(security).collect::<String>())
    }

    /// The newest keyring package among the suites that could be verified.
    fn extend_keyring(&self) -> Result<()> {
        let scratch = tempfile::tempdir_in(&self.folder);
        let scratch = scratch.map_err(FetchError::file("write to", &self.folder))?;
        let debs = self.download(&["debian-archive-keyring".to_owned()], scratch.path())?;
        for deb in debs {
            unpack(&deb, &self.folder.join("keyring"))?;
        }
        Ok(())
    }

    /// All versions of the packages whose names match a regular expression.
    ///
    /// # Errors
    ///
    /// apt-cache fails.
    pub fn candidates(&self, pattern: &str) -> Result<Vec<Candidate>> {
        let found =
            exec::output(self.command("apt-cache").args(["search", "--names-only", pattern]))?;
        let names: Vec<&str> = found.lines().filter_map(|line| line.split(' ').next()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let versions = exec::output(self.command("apt-cache").arg("madison").args(names))?;
        Ok(versions.lines().filter_map(candidate).collect())
    }

    /// Downloads packages (`name` or `name=version`) into a folder; gives the files there.
    ///
    /// # Errors
    ///
    /// apt-get fails.
    pub fn download(&self, packages: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
        exec::output(
            self.command("apt-get").args(["-q", "download"]).args(packages).current_dir(folder),
        )?;
        debs(folder)
    }

    /// Downloads packages into a folder, with whatever they need and this apt's machine lacks, installing
    /// nothing. The machine of [`Apt::all_suites`] has nothing yet.
    ///
    /// # Errors
    ///
    /// apt-get fails.
    pub fn download_with_dependencies(
        &self,
        packages: &[&str],
        folder: &Path,
    ) -> Result<Vec<PathBuf>> {
        let partial = folder.join("partial");
        fs::create_dir_all(&partial).map_err(FetchError::file("create", partial))?;
        exec::output(
            self.command("apt-get")
                .arg("-o")
                .arg(format!("Dir::Cache::Archives={}", folder.display()))
                .args(["-q", "-y", "--no-install-recommends", "--download-only", "install"])
                .args(packages),
        )?;
        debs(folder)
    }
}

/// Unpacks a package of this machine's suite, and those that it needs, into a folder of the cache; `finish` adds to it.
///
/// # Errors
///
/// The package cannot be fetched or unpacked, or those of `finish`.
pub fn install(
    cache: &Cache,
    package: &str,
    folder: &str,
    finish: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let apt = Apt::this_machine(cache)?;
    apt.update()?;
    let scratch = cache.scratch()?;
    let root = scratch.path().join("root");
    for deb in apt.download_with_dependencies(&[package], &scratch.path().join("debs"))? {
        unpack(&deb, &root)?;
    }
    finish(&root)?;
    cache.install(&root, folder)?;
    Ok(())
}

/// Unpacks a package into a folder.
///
/// # Errors
///
/// dpkg fails.
pub fn unpack(deb: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(FetchError::file("create", folder))?;
    exec::output(Command::new("dpkg").arg("-x").arg(deb).arg(folder))?;
    Ok(())
}

fn debs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut debs: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(FetchError::file("read", folder))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    debs.sort();
    Ok(debs)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(FetchError::file("write", path))
}

/// A line of `apt-cache madison`: ` package | version | source`.
fn candidate(line: &str) -> Option<Candidate> {
    let mut columns = line.split('|').map(str::trim);
    let (package, version, source) = (columns.next()?, columns.next()?, columns.next()?);
    source
        .ends_with("Packages")
        .then(|| Candidate { package: package.to_owned(), version: version.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn madison_lines_are_read() {
        let line = "  rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://m.example/debian trixie-backports/main amd64 Packages";
        let found = candidate(line);
        assert_eq!(found.as_ref().map(|c| c.package.as_str()), Some("rust-src"));
        assert_eq!(found.map(|c| c.version).as_deref(), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(candidate("  linux | 6.1 | http://m.example/debian sid/main Sources"), None);
    }
}
