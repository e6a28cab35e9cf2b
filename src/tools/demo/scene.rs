//! One way, played: the crowd comes, a spectator looks, until every buyer has his answer and every order lies in the
//! store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::ensure;
use forebay_loadtest::clock;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use super::Moment;
use super::Options;
use super::Scene;
use super::Site;
use super::crowd::Crowd;
use super::moments::EVERY;
use super::store::StoreView;
use super::summary::Summary;

/// Beyond what the drain needs by its rate: a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays one way. `show` is called after each look.
pub(super) async fn play(
    site: &Site,
    options: &Options,
    show: &mut dyn FnMut(&Scene),
) -> anyhow::Result<Scene> {
    let mut scene = Scene { way: site.way, moments: vec![Moment::default()], summary: None };
    let mut store = StoreView::open(&site.store).await?;
    let crowd = Crowd::new(site.public.clone(), options.files);
    crowd.gather(options.buyers).await?;
    let start = clock::now();
    let coming = Arc::clone(&crowd).come(options.buyers, options.over, start);
    let coming = tokio::spawn(coming);
    #[expect(clippy::cast_precision_loss, reason = "a demo has few buyers")]
    let drained = options.buyers as f64 / options.rate.as_per_second();
    let until = start + options.over + Duration::from_secs_f64(drained) + PATIENCE;
    let mut look = interval(EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let stored;
        (store, stored) = store.orders().await?;
        let seen = crowd.heard().moment();
        let moment = Moment { at: start.elapsed().as_secs_f64(), stored, ..seen };
        scene.moments.push(moment);
        show(&scene);
        // Read before the counts: once all have their answer, nothing more comes into the direct way's store.
        if coming.is_finished() && moment.came == options.buyers && moment.stored >= moment.taken {
            break;
        }
        ensure!(
            clock::now() < until,
            "{}: {} orders never came to the store",
            site.way.name(),
            moment.taken - moment.stored
        );
    }
    coming.await.context("the crowd")?;
    scene.summary = Some(Summary::of(&scene.moments, &crowd.heard().fates));
    show(&scene);
    Ok(scene)
}
