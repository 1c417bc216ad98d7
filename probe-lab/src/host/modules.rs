//! Finds kernel modules by name, with those they need, and takes them out of their packing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSection as _};

use crate::host::error::Error;

/// A module ready to be loaded.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) image: Vec<u8>,
}

/// The modules of one kernel, by name.
#[derive(Debug)]
pub(crate) struct Modules {
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Modules {
    /// Looks through a folder like `/lib/modules/RELEASE`; an index made by depmod is not needed.
    pub(crate) fn index(folder: &Path) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        collect(folder, &mut files).map_err(Error::file("read", folder))?;
        let builtin = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        let builtin = builtin.lines().filter_map(|line| name(Path::new(line))).collect();
        Ok(Self { files, builtin })
    }

    /// Whether a module of this name exists and is not part of the kernel's image.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.contains_key(&plain(name))
    }

    /// Modules in an order in which they can be loaded.
    pub(crate) fn load_order(&self, names: &[String]) -> Result<Vec<Module>, Error> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.visit(&plain(name), &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<Module>,
    ) -> Result<(), Error> {
        if self.builtin.contains(name) || !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let path = self.files.get(name).ok_or_else(|| Error::NoModule(name.to_owned()))?;
        let image = unpack(path)?;
        for needed in
            needs(&image).map_err(|reason| Error::BadModule { path: path.clone(), reason })?
        {
            self.visit(&needed, seen, order)?;
        }
        order.push(Module { name: name.to_owned(), image });
        Ok(())
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = name(&entry.path()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// `virtio_rng` of `virtio-rng.ko.xz`; none of a file that is no module.
fn name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let file = file.strip_suffix(".xz").unwrap_or(file);
    Some(plain(file.strip_suffix(".ko")?))
}

/// The kernel takes both spellings for one name.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn unpack(path: &Path) -> Result<Vec<u8>, Error> {
    let packed = fs::read(path).map_err(Error::file("read", path))?;
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(packed);
    }
    let mut image = Vec::new();
    lzma_rust2::XzReader::new(packed.as_slice(), true)
        .read_to_end(&mut image)
        .map_err(Error::file("unpack", path))?;
    Ok(image)
}

/// The names in `depends=` of the section `.modinfo`.
fn needs(image: &[u8]) -> Result<Vec<String>, String> {
    let file = object::File::parse(image).map_err(|error| error.to_string())?;
    let section = file.section_by_name(".modinfo").ok_or("it has no section .modinfo")?;
    let info = section.data().map_err(|error| error.to_string())?;
    let fields = info.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    Ok(fields
        .filter_map(|field| field.strip_prefix("depends=").map(str::to_owned))
        .flat_map(|names| names.split(',').map(plain).collect::<Vec<_>>())
        .filter(|name| !name.is_empty())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_become_module_names() {
        assert_eq!(name(Path::new("a/virtio-rng.ko.xz")).as_deref(), Some("virtio_rng"));
        assert_eq!(name(Path::new("loop.ko")).as_deref(), Some("loop"));
        assert_eq!(name(Path::new("modules.order")), None);
    }

    #[test]
    fn a_missing_module_is_named() {
        let modules =
            Modules { files: BTreeMap::new(), builtin: BTreeSet::from(["loop".to_owned()]) };
        assert!(modules.load_order(&["loop".into()]).is_ok_and(|order| order.is_empty()));
        let error = modules.load_order(&["zram".into()]).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("zram"));
    }
}
