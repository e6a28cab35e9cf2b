//! Reads the tables with no gateway running, and writes nothing.

use std::future::ready;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};

use super::{OpenError, rows, tables};
use crate::store::{OrderPage, StockRow, StoreError, StoreRows};

/// The rows of a store that does not run.
#[derive(Debug)]
pub struct OfflineRows(Mutex<Connection>);

/// Opens `store.sqlite` in `directory` for reading.
///
/// # Errors
/// When there is none, or it is not what it must be.
pub fn read(directory: &Path) -> Result<OfflineRows, OpenError> {
    let file = directory.join("store.sqlite");
    let failed = |why: &str| OpenError::Runtime { path: file.clone(), why: why.to_owned() };
    if !file.is_file() {
        return Err(failed("there is no such file; [store.simulated] directory names its place"));
    }
    let path = file.to_str().ok_or_else(|| failed("the path is no UTF-8"))?;
    // Without a log behind it the file is whole, and may be read without the files that a log needs.
    let log = std::fs::metadata(directory.join("store.sqlite-wal")).map_or(0, |log| log.len());
    let mode = if log == 0 { "immutable=1" } else { "mode=ro" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let connection = Connection::open_with_flags(format!("file:{escaped}?{mode}"), flags)
        .map_err(OpenError::sqlite(&file))?;
    tables::inspect(&connection, &file)?;
    Ok(OfflineRows(Mutex::new(connection)))
}

impl OfflineRows {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreRows for OfflineRows {
    fn order_rows(&self, after: Option<String>) -> BoxFuture<'_, Result<OrderPage, StoreError>> {
        Box::pin(ready(rows::order_rows(&self.connection(), after.as_deref())))
    }

    fn stock_rows(&self) -> BoxFuture<'_, Result<Vec<StockRow>, StoreError>> {
        Box::pin(ready(rows::stock_rows(&self.connection())))
    }
}
