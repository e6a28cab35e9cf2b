//! Figures from outside: the gateway's `/metrics`, and what the kernel says of its memory.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

/// Samples by name and labels, as the exposition writes them.
#[derive(Debug, Default)]
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads Prometheus text.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// The value of a series without labels; `None` when it is not there.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// The sum over all series of that name whose labels hold all of `labels` (each like `op="read"`).
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let of_name = |series: &str| {
            series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        let wanted = |series: &str| labels.iter().all(|label| series.contains(label));
        let all = self.0.iter().filter(|(series, _)| of_name(series) && wanted(series));
        all.map(|(_, value)| value).sum()
    }
}

/// Memory of a process in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// What of it is no file's.
    pub anonymous: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

impl Memory {
    /// Of a living process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/status");
        let text = std::fs::read_to_string(Path::new(&path)).with_context(|| path.clone())?;
        let field = |name: &str| kibibytes(&text, name).with_context(|| format!("{path}: {name}"));
        let (resident, anonymous) = (field("VmRSS:")?, field("RssAnon:")?);
        Ok(Self { resident, anonymous, peak: field("VmHWM:")? })
    }
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_labels() {
        let text = "# HELP a x\na_count{op=\"read\",outcome=\"ok\"} 3\na_count{op=\"read\",outcome=\"late\"} 4\n\
                    a_count{op=\"write\"} 9\na_counter 100\nb 2.5\n";
        let scrape = Scrape::parse(text);
        let sum = |name, labels: &[&str]| scrape.sum(name, labels).to_string();
        assert_eq!(sum("a_count", &["op=\"read\""]), "7");
        assert_eq!(sum("a_count", &[]), "16");
        assert_eq!(sum("b", &[]), "2.5");
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(kibibytes("Name:\ta\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288));
        let both = "VmRSS:\t9 kB\nRssAnon:\t    1234 kB\n";
        assert_eq!(kibibytes(both, "RssAnon:"), Some(1_263_616));
        assert_eq!(kibibytes("VmRSS:\t9 kB\n", "RssAnon:"), None);
        assert!(Memory::of(std::process::id()).unwrap().anonymous > 0);
    }
}
