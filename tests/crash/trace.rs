//! What a process did to one directory and what it said, read from the log of `strace`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One thing that happened. Files are called by their names in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A line was said: from its beginning on, whoever listens may know.
    Said,
    Opened {
        name: String,
        emptied: bool,
    },
    Wrote {
        name: String,
        at: u64,
        bytes: Vec<u8>,
    },
    Cut {
        name: String,
        len: u64,
    },
    Synced {
        name: String,
        works: bool,
    },
    DirectorySynced,
    Renamed {
        from: String,
        to: String,
    },
    Removed {
        name: String,
    },
}

/// The calls that are needed for that.
const TRACED: [&str; 13] = [
    "open",
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "lseek",
];

/// What `strace` must be asked for.
pub(crate) fn everything() -> Vec<String> {
    let traced = format!("trace={}", TRACED.map(|call| format!("?{call}")).join(","));
    ["-y", "-xx", "-s", "1000000", "-e", &traced].map(str::to_owned).into()
}

/// Reads a log of `-f -y -xx`. What a call did counts when it returned; what it said, when it began. A name that
/// one thread changes may be met by another before the call has returned: then it counts from there.
pub(crate) fn read(log: &str, directory: &Path) -> Vec<Happened> {
    let (happened, cursors, naming) = (Vec::new(), HashMap::new(), HashMap::new());
    let mut reader = Reader { directory, happened, cursors, naming };
    let mut begun: HashMap<&str, String> = HashMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begin) = rest.strip_suffix(" <unfinished ...>") {
            reader.begin(begin);
            reader.begin_naming(thread, begin);
            begun.insert(thread, begin.to_owned());
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>").expect("it is said what goes on");
            let whole = begun.remove(thread).expect("what goes on had begun") + end;
            match reader.naming.remove(thread) {
                Some(Naming::Met) => {}
                Some(Naming::Begun(_)) | None => reader.end(&whole),
            }
        } else {
            reader.begin(rest);
            reader.end(rest);
        }
    }
    reader.happened
}

/// A change of a name that has begun and has not returned.
#[derive(Debug)]
enum Naming {
    Begun(Happened),
    /// It is among what happened: another thread met it.
    Met,
}

struct Reader<'a> {
    directory: &'a Path,
    happened: Vec<Happened>,
    /// Where the next plain write of a descriptor goes.
    cursors: HashMap<u64, u64>,
    /// By thread.
    naming: HashMap<String, Naming>,
}

/// A call: its name, its arguments, and what it returned.
struct Call<'a> {
    name: &'a str,
    arguments: Vec<&'a str>,
    returned: &'a str,
}

fn call(line: &str) -> Option<Call<'_>> {
    let (name, rest) = line.split_once('(')?;
    // No argument looks like that: all strings are in hex.
    let (arguments, returned) = rest.split_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?.split(", ").collect();
    Some(Call { name, arguments, returned })
}

/// Bytes of `\x61\x62…`.
fn hex(text: &str) -> Vec<u8> {
    let inside = text.trim_matches('"').split("\\x").skip(1);
    inside.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes).expect("paths are text here"))
}

/// Number and path of `3<\x2f…>`.
fn descriptor(text: &str) -> Option<(u64, PathBuf)> {
    let (number, rest) = text.split_once('<')?;
    Some((number.parse().ok()?, path(hex(rest.split_once('>')?.0))))
}

impl Happened {
    /// The name that must be as it is for this to happen, or that this makes.
    fn meets(&self) -> Option<&str> {
        match self {
            Self::Said | Self::DirectorySynced => None,
            Self::Renamed { from: name, .. }
            | Self::Opened { name, .. }
            | Self::Wrote { name, .. }
            | Self::Cut { name, .. }
            | Self::Synced { name, .. }
            | Self::Removed { name } => Some(name),
        }
    }

    /// The name that this gives or takes away.
    fn names(&self) -> Option<&str> {
        match self {
            Self::Renamed { to: name, .. } | Self::Removed { name } => Some(name),
            _ => None,
        }
    }
}

impl Reader<'_> {
    /// The name inside the directory; `None` for everything outside of it.
    fn inside(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(self.directory).ok()?.to_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn named(&self, argument: &str) -> Option<String> {
        self.inside(&path(hex(argument)))
    }

    fn begin(&mut self, line: &str) {
        if line.starts_with("write(1<") {
            let said = line.split('"').nth(1).map(hex).unwrap_or_default();
            if said.starts_with(b"> ") {
                self.happened.push(Happened::Said);
            }
        }
    }

    fn end(&mut self, line: &str) {
        let Some(call) = call(line) else { return };
        let fails = call.returned.starts_with('-');
        if fails && !call.name.ends_with("sync") {
            return;
        }
        if let Some(happened) = self.understand(&call) {
            self.meet(happened.meets());
            self.meet(happened.names());
            self.happened.push(happened);
        }
    }

    fn begin_naming(&mut self, thread: &str, line: &str) {
        let line = format!("{line}) = ");
        let Some(call) = call(&line) else { return };
        if (call.name.starts_with("rename") || call.name.starts_with("unlink"))
            && let Some(happened) = self.understand(&call)
        {
            self.naming.insert(thread.to_owned(), Naming::Begun(happened));
        }
    }

    /// A change of this name has come about, though its call has not returned.
    fn meet(&mut self, name: Option<&str>) {
        for naming in self.naming.values_mut() {
            if let Naming::Begun(happened) = naming
                && name.is_some_and(|name| happened.names() == Some(name))
            {
                self.happened.push(happened.clone());
                *naming = Naming::Met;
            }
        }
    }

    fn understand(&mut self, call: &Call<'_>) -> Option<Happened> {
        let arguments = &call.arguments;
        let strings = || arguments.iter().filter(|argument| argument.starts_with('"'));
        match call.name {
            "open" | "openat" => {
                let (number, path) = descriptor(call.returned)?;
                self.cursors.insert(number, 0);
                let flags = arguments.iter().find(|argument| argument.starts_with("O_"))?;
                let name = self.inside(&path).filter(|_| flags.contains("O_CREAT"))?;
                Some(Happened::Opened { name, emptied: flags.contains("O_TRUNC") })
            }
            "write" | "pwrite64" => {
                let (number, path) = descriptor(arguments[0])?;
                let count: u64 = call.returned.parse().expect("a count");
                let at = match arguments.get(3) {
                    Some(at) => at.parse().expect("a place"),
                    None => {
                        let cursor = self.cursors.entry(number).or_default();
                        std::mem::replace(cursor, *cursor + count)
                    }
                };
                let mut bytes = hex(arguments[1]);
                bytes.truncate(usize::try_from(count).expect("it was in memory"));
                Some(Happened::Wrote { name: self.inside(&path)?, at, bytes })
            }
            "lseek" => {
                let (number, _) = descriptor(arguments[0])?;
                self.cursors.insert(number, call.returned.parse().expect("a place"));
                None
            }
            "ftruncate" => {
                let (_, path) = descriptor(arguments[0])?;
                let len = arguments[1].parse().expect("a length");
                Some(Happened::Cut { name: self.inside(&path)?, len })
            }
            "fsync" | "fdatasync" => {
                let (_, path) = descriptor(arguments[0])?;
                let works = !call.returned.starts_with('-');
                if path == self.directory {
                    return works.then_some(Happened::DirectorySynced);
                }
                Some(Happened::Synced { name: self.inside(&path)?, works })
            }
            "rename" | "renameat" | "renameat2" => {
                let mut names = strings().map(|argument| self.named(argument));
                Some(Happened::Renamed { from: names.next()??, to: names.next()?? })
            }
            "unlink" | "unlinkat" => {
                Some(Happened::Removed { name: self.named(strings().next()?)? })
            }
            other => panic!("{other} was not asked for"),
        }
    }
}
