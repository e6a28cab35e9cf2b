//! The table of figures: one line a point, the environment above it.

use std::fmt;

use anyhow::{Context, ensure};

/// One place of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Orders of a transaction.
    pub batch: u32,
    /// Stock rows over which the transactions are spread evenly; 1 is a hot row.
    pub stock_rows: u32,
    /// Connections, each with a transaction at all times.
    pub connections: u32,
}

impl Point {
    /// The whole grid.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let singles = [1, 1_000].map(|rows| (1, rows, &[1, 2, 4, 8, 16, 32, 64, 128, 256][..]));
        let batches = [10, 100, 500].map(|batch| (batch, 1, &[1, 4, 16][..]));
        let lines = singles.into_iter().chain(batches);
        lines
            .flat_map(|(batch, stock_rows, connections)| {
                connections.iter().map(move |connections| Self {
                    batch,
                    stock_rows,
                    connections: *connections,
                })
            })
            .collect()
    }
}

/// What was seen at a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Where.
    pub point: Point,
    /// Transactions committed, a second.
    pub transactions_per_second: f64,
    /// Mean time of a transaction as its client sees it, in microseconds.
    pub mean_us: f64,
    /// Half of them took no longer.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// CPU time of the server a transaction, in microseconds.
    pub server_cpu_us: f64,
    /// CPU time of the client a transaction, in microseconds.
    pub client_cpu_us: f64,
    /// Cores that neither the server nor the client used, on average.
    pub other_cores: f64,
}

const COLUMNS: &str = "batch,stock_rows,connections,transactions_per_s,mean_us,p50_us,p99_us,server_cpu_us,\
                       client_cpu_us,other_cores";

impl fmt::Display for Row {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point { batch, stock_rows, connections } = self.point;
        write!(
            to,
            "{batch},{stock_rows},{connections},{:.1},{:.1},{},{},{:.1},{:.1},{:.2}",
            self.transactions_per_second,
            self.mean_us,
            self.p50_us,
            self.p99_us,
            self.server_cpu_us,
            self.client_cpu_us,
            self.other_cores,
        )
    }
}

/// All figures of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// On what, and how: a line each.
    pub environment: Vec<String>,
    /// The figures.
    pub rows: Vec<Row>,
}

impl fmt::Display for Table {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.environment {
            writeln!(to, "# {line}")?;
        }
        writeln!(to, "{COLUMNS}")?;
        self.rows.iter().try_for_each(|row| writeln!(to, "{row}"))
    }
}

impl Table {
    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// When a line is no row of the table.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (comments, rest): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with('#'));
        let environment = comments.iter().map(|line| line[1..].trim().to_owned()).collect();
        let (head, rows) = rest.split_first().context("the table is empty")?;
        ensure!(*head == COLUMNS, "the columns are `{head}`, not `{COLUMNS}`");
        let row = |line: &&str| row(line).with_context(|| format!("`{line}` is no row"));
        Ok(Self { environment, rows: rows.iter().map(row).collect::<anyhow::Result<_>>()? })
    }

    /// The figures at a point.
    #[must_use]
    pub fn at(&self, point: Point) -> Option<&Row> {
        self.rows.iter().find(|row| row.point == point)
    }
}

fn row(line: &str) -> anyhow::Result<Row> {
    let fields: Vec<&str> = line.split(',').collect();
    let wanted = COLUMNS.split(',').count();
    ensure!(fields.len() == wanted, "{} fields, not {wanted}", fields.len());
    Ok(Row {
        point: Point {
            batch: fields[0].parse()?,
            stock_rows: fields[1].parse()?,
            connections: fields[2].parse()?,
        },
        transactions_per_second: fields[3].parse()?,
        mean_us: fields[4].parse()?,
        p50_us: fields[5].parse()?,
        p99_us: fields[6].parse()?,
        server_cpu_us: fields[7].parse()?,
        client_cpu_us: fields[8].parse()?,
        other_cores: fields[9].parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let row = |point| Row {
            point,
            transactions_per_second: 1234.5,
            mean_us: 810.2,
            p50_us: 700,
            p99_us: 2_000,
            server_cpu_us: 55.1,
            client_cpu_us: 20.0,
            other_cores: 0.03,
        };
        let rows = Point::all().into_iter().map(row).collect();
        let table = Table { environment: vec!["a machine".to_owned()], rows };
        assert_eq!(Table::parse(&table.to_string()).unwrap(), table);
        assert!(Table::parse("batch,stock_rows\n1,2").is_err());
        let short = format!("{COLUMNS}\n1,1,1,5.0");
        assert!(Table::parse(&short).is_err());
    }
}
