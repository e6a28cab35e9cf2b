//! The shared suite, on small segments, so that rolls, snapshots and deletions happen all the time.

use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::clock::{ManualClock, SharedClock, Timestamp};
use crate::ledger::SharedLedger;
use crate::ledger::embedded::{Config, Durability, Embedded};
use crate::ledger::suite::{Engine, check, scale, steps};
use crate::order::Keyring;
use crate::units::Size;

struct OnDisk {
    directory: TempDir,
    durability: Durability,
    clock: Arc<ManualClock>,
    ledger: Option<Arc<Embedded>>,
}

impl OnDisk {
    fn new(durability: Durability) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)));
        let mut engine = Self { directory, durability, clock, ledger: None };
        engine.open();
        engine
    }

    fn open(&mut self) -> bool {
        let config = Config {
            directory: self.directory.path().to_path_buf(),
            durability: self.durability,
            segment_size: Size(4 << 10),
            snapshot_after: Size(8 << 10),
        };
        let clock: SharedClock = Arc::<ManualClock>::clone(&self.clock);
        let ledger = Embedded::open(&config, &clock, &Keyring::default()).unwrap();
        let new_epoch = ledger.opened().new_epoch;
        self.ledger = Some(Arc::new(ledger));
        new_epoch
    }
}

impl Engine for OnDisk {
    fn ledger(&self) -> SharedLedger {
        let ledger = self.ledger.as_ref().expect("it was opened");
        Arc::<Embedded>::clone(ledger)
    }

    /// Without its mark a clean close looks like a death.
    fn restart(&mut self, lossy: bool) -> bool {
        if let Some(ledger) = self.ledger.take() {
            ledger.close();
        }
        if lossy {
            std::fs::remove_file(self.directory.path().join("closed")).unwrap();
        }
        self.open()
    }

    fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.clock)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16 * scale(),
        max_shrink_iters: 256,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_engine_keeps_every_law_at_level_disk(steps in steps(120)) {
        check(&mut OnDisk::new(Durability::Disk), &steps)?;
    }

    #[test]
    fn the_engine_keeps_every_law_at_level_process(steps in steps(120)) {
        check(&mut OnDisk::new(Durability::Process), &steps)?;
    }
}
