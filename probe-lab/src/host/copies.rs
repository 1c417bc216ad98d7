//! Files that come out of the guest.
//!
//! The guest only says a number and bytes: names and places are ours. A file is complete in its place, or not there.

use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::host::error::Error;
use crate::machine::CopiedFile;
use crate::protocol::LARGEST_FILE;

/// The files that are wanted.
#[derive(Debug)]
pub(crate) struct Copies<'a> {
    files: Vec<Copy<'a>>,
    /// Bytes of one file.
    largest: u64,
}

#[derive(Debug)]
struct Copy<'a> {
    wanted: &'a CopiedFile,
    state: State,
}

#[derive(Debug)]
enum State {
    /// So many bytes have come.
    Coming(NamedTempFile, u64),
    Complete,
    Refused(String),
}

impl<'a> Copies<'a> {
    /// Makes a file of another name beside each place, so that a place that cannot be written to is known before the guest boots.
    pub(crate) fn open(wanted: &'a [CopiedFile]) -> Result<Self, Error> {
        let open = |wanted: &'a CopiedFile| {
            let folder = wanted.destination.parent().filter(|path| !path.as_os_str().is_empty());
            let file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
                .map_err(Error::file("write", &wanted.destination))?;
            Ok(Copy { wanted, state: State::Coming(file, 0) })
        };
        let files = wanted.iter().map(open).collect::<Result<_, Error>>()?;
        Ok(Self { files, largest: LARGEST_FILE })
    }

    /// Takes a piece of a file, or its end; what nobody asked for is left.
    pub(crate) fn piece(&mut self, payload: &[u8]) -> Result<(), Error> {
        let largest = self.largest;
        let Some((copy, bytes)) = self.find(payload) else {
            return Ok(());
        };
        let destination = &copy.wanted.destination;
        match std::mem::replace(&mut copy.state, State::Complete) {
            State::Coming(file, _) if bytes.is_empty() => {
                file.persist(destination)
                    .map_err(|error| Error::file("write", destination)(error.error))?;
            }
            State::Coming(mut file, before) => {
                let size = before + bytes.len() as u64;
                if size > largest {
                    copy.state = State::Refused(format!("it is larger than {largest} bytes"));
                    return Ok(());
                }
                file.write_all(bytes).map_err(Error::file("write", destination))?;
                copy.state = State::Coming(file, size);
            }
            ended => copy.state = ended,
        }
        Ok(())
    }

    /// Takes the guest's sentence that a file cannot be had.
    pub(crate) fn refused(&mut self, payload: &[u8]) {
        if let Some((copy, why)) = self.find(payload) {
            copy.state = State::Refused(String::from_utf8_lossy(why).into_owned());
        }
    }

    /// A sentence for each file that did not come.
    pub(crate) fn missing(&self) -> Vec<String> {
        let sentence = |copy: &Copy| {
            let why = match &copy.state {
                State::Complete => return None,
                State::Coming(..) => "the guest ended before it came",
                State::Refused(why) => why,
            };
            Some(format!("cannot copy {} out of the guest: {why}", copy.wanted.source))
        };
        self.files.iter().filter_map(sentence).collect()
    }

    fn find<'b>(&mut self, payload: &'b [u8]) -> Option<(&mut Copy<'a>, &'b [u8])> {
        let (number, rest) = payload.split_first_chunk::<4>()?;
        let number = usize::try_from(u32::from_le_bytes(*number)).ok()?;
        Some((self.files.get_mut(number)?, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(folder: &Path, names: &[&str]) -> Vec<CopiedFile> {
        let file = |name: &&str| CopiedFile {
            source: format!("/g/{name}"),
            destination: folder.join(name),
        };
        names.iter().map(file).collect()
    }

    #[test]
    fn a_file_is_in_its_place_when_it_is_complete() -> Result<(), Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let wanted = wanted(folder.path(), &["a", "b", "c"]);
        let mut copies = Copies::open(&wanted)?;
        copies.piece(b"\0\0\0\0one ")?;
        copies.piece(b"\0\0\0\0two")?;
        assert!(!wanted[0].destination.exists());
        copies.piece(b"\0\0\0\0")?;
        copies.refused(b"\x01\0\0\0it is not there");
        // Nobody asked for these.
        copies.piece(b"\x09\0\0\0x")?;
        copies.piece(b"\0\0")?;
        assert_eq!(std::fs::read(&wanted[0].destination).expect("is there"), b"one two");
        let missing = copies.missing();
        assert_eq!(missing[0], "cannot copy /g/b out of the guest: it is not there");
        assert!(missing[1].starts_with("cannot copy /g/c"), "{missing:?}");
        drop(copies);
        assert_eq!(std::fs::read_dir(folder.path()).expect("is there").count(), 1);
        Ok(())
    }

    #[test]
    fn a_file_without_end_is_left_there() -> Result<(), Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let wanted = wanted(folder.path(), &["a"]);
        let mut copies = Copies { largest: 5, ..Copies::open(&wanted)? };
        for _ in 0..4 {
            copies.piece(b"\0\0\0\0xyz")?;
        }
        copies.piece(b"\0\0\0\0")?;
        assert_eq!(
            copies.missing(),
            ["cannot copy /g/a out of the guest: it is larger than 5 bytes"]
        );
        assert!(!wanted[0].destination.exists());
        Ok(())
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_an_error_at_once() {
        let wanted = wanted(Path::new("/proc/no/such/folder"), &["a"]);
        let error = Copies::open(&wanted).map(drop).unwrap_err();
        assert!(error.to_string().contains("/proc/no/such/folder/a"), "{error}");
    }
}
