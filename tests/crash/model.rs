//! A disk as a power cut finds it: what was synced is there, and of the rest everything, nothing, or some.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tempfile::TempDir;

use super::after::directory;
use super::trace::Happened;

/// What a disk writes as one, and what the kernel may keep apart as changed or not.
const SECTOR: usize = 512;

/// A file: what the process sees, and what was synced.
#[derive(Clone, Debug, Default)]
struct File {
    seen: Vec<u8>,
    synced: Vec<u8>,
    /// Sectors that were written since the last sync, by their number.
    dirty: BTreeSet<usize>,
    /// A sync failed in this life.
    failed: bool,
}

/// The files of a directory.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A directory and its files by number. Names are synced apart from what they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// Names that were removed since: a removal may last although what came before it does not.
    removed: Vec<String>,
}

/// Which part of what was not synced is there after the cut.
#[derive(Clone, Copy, Debug)]
enum Survives {
    Nothing,
    Everything,
    EvenSectors,
    OddSectors,
}

const SURVIVES: [Survives; 4] =
    [Survives::Nothing, Survives::Everything, Survives::EvenSectors, Survives::OddSectors];

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.seen.resize(self.seen.len().max(end), 0);
        self.seen[at..end].copy_from_slice(bytes);
        self.dirty.extend(at / SECTOR..end.div_ceil(SECTOR));
    }

    /// Writes the sectors that are dirty. When that fails they count as clean all the same: a later sync says that
    /// all is well, and writes none of them.
    fn sync(&mut self, works: bool) {
        assert!(!self.failed, "a file whose sync failed is synced again");
        self.failed = !works;
        let dirty = std::mem::take(&mut self.dirty);
        if !works {
            return;
        }
        self.synced.resize(self.seen.len(), 0);
        for sector in dirty {
            let to = self.seen.len().min((sector + 1) * SECTOR);
            let from = to.min(sector * SECTOR);
            self.synced[from..to].copy_from_slice(&self.seen[from..to]);
        }
    }

    fn after(&self, survives: Survives) -> Vec<u8> {
        let keep = match survives {
            Survives::Nothing => return self.synced.clone(),
            Survives::Everything => return self.seen.clone(),
            Survives::EvenSectors => 0,
            Survives::OddSectors => 1,
        };
        let mut after = self.synced.clone();
        after.resize(self.seen.len(), 0);
        for (n, (to, from)) in after.chunks_mut(SECTOR).zip(self.seen.chunks(SECTOR)).enumerate() {
            if n % 2 == keep {
                to.copy_from_slice(from);
            }
        }
        after
    }
}

impl Disk {
    /// The files of a directory, all of them synced.
    pub(crate) fn of(directory: &Path) -> Self {
        let mut disk = Self::default();
        for entry in std::fs::read_dir(directory).expect("it can be read").flatten() {
            let bytes = std::fs::read(entry.path()).expect("it can be read");
            let name = entry.file_name().into_string().expect("names are text");
            disk.names.insert(name, disk.files.len());
            disk.files.push(File { seen: bytes.clone(), synced: bytes, ..File::default() });
        }
        disk.synced_names.clone_from(&disk.names);
        disk
    }

    fn file(&mut self, name: &str) -> &mut File {
        let number = *self.names.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        &mut self.files[number]
    }

    pub(crate) fn happened(&mut self, happened: &Happened) {
        match happened {
            Happened::Said => {}
            Happened::Opened { name, emptied } => {
                if !self.names.contains_key(name) {
                    self.names.insert(name.clone(), self.files.len());
                    self.files.push(File::default());
                }
                if *emptied {
                    self.file(name).seen.clear();
                }
            }
            Happened::Wrote { name, at, bytes } => {
                let at = usize::try_from(*at).expect("files are small here");
                self.file(name).write(at, bytes);
            }
            Happened::Cut { name, len } => {
                let len = usize::try_from(*len).expect("files are small here");
                self.file(name).seen.resize(len, 0);
            }
            Happened::Synced { name, works } => self.file(name).sync(*works),
            Happened::DirectorySynced => {
                self.synced_names.clone_from(&self.names);
                self.removed.clear();
            }
            Happened::Renamed { from, to } => {
                let number = self.names.remove(from).unwrap_or_else(|| panic!("no {from}"));
                self.names.insert(to.clone(), number);
            }
            Happened::Removed { name } => {
                self.names.remove(name);
                self.removed.push(name.clone());
            }
        }
    }

    /// What may be on the disk after a cut now.
    pub(crate) fn cut(&self) -> Vec<Files> {
        let mut may_be = Vec::new();
        let mut only_removed = self.synced_names.clone();
        only_removed.retain(|name, _| !self.removed.contains(name));
        for names in [&self.synced_names, &only_removed, &self.names] {
            may_be.extend(SURVIVES.map(|survives| self.with(names, survives)));
        }
        may_be
    }

    /// The same under another process.
    pub(crate) fn of_the_next_life(&self) -> Self {
        let mut disk = self.clone();
        disk.files.iter_mut().for_each(|file| file.failed = false);
        disk
    }

    /// What the death of the process leaves behind.
    pub(crate) fn seen(&self) -> Files {
        self.with(&self.names, Survives::Everything)
    }

    fn with(&self, names: &BTreeMap<String, usize>, survives: Survives) -> Files {
        let file = |(name, at): (&String, &usize)| (name.clone(), self.files[*at].after(survives));
        names.iter().map(file).collect()
    }
}

pub(crate) fn laid_out(files: &Files) -> TempDir {
    let directory = directory();
    for (name, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).expect("it can be written");
    }
    directory
}
