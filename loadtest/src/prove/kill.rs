use super::Checks;
use std::path::Path;
pub(super) async fn prove(_b: &Path, _s: super::Scale, _c: &mut Checks) -> anyhow::Result<()> {
    Ok(())
}
