"""The training loop.

The way of one step: ``bin/train.py:main`` -> ``Trainer.fit`` -> ``Trainer.train_step`` -> ``AsrModel.forward`` -> loss.
``docs/training_step.md`` walks it.
"""

import contextlib
import logging
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from omni_asr.config import Config
from omni_asr.data.batch import Batch
from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.loading import STOPPING, Interrupted
from omni_asr.devices import autocast
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel, Losses, count_parameters
from omni_asr.models.package import Contents, Info, pack, save_package
from omni_asr.read_files import well_formed
from omni_asr.text.tokenizer import Tokenizer
from omni_asr.training.averages import Averages
from omni_asr.training.checkpoint import STATE, STATE_ADVICE, Checkpoints, Position
from omni_asr.training.experiment import commit, digests_of, read_command, refuse_other_data, write_info
from omni_asr.training.failures import described, in_one_line, naming_what_is_too_large, save_batches
from omni_asr.training.feed import Feed
from omni_asr.training.layout import (
    clip_gradients,
    hand_out_state,
    lay_out,
    load_optimizer_state,
    load_whole_state,
    optimizer_state,
    whole_state,
)
from omni_asr.training.logging import TrainLog, clock, progress_line
from omni_asr.training.meters import Meters, StepSums, SumsVector, peak_memory
from omni_asr.training.optim import learning_rate, make_optimizer
from omni_asr.training.profiling import Profile
from omni_asr.training.ranks import Ranks
from omni_asr.training.validation import Validation, try_largest_batches, validate
from omni_asr.training.watchdog import Watchdog

log = logging.getLogger("train")

MOST_SKIPPED = 10
"""Steps in a row with a loss or gradient that is not finite before training gives up."""


class Trainer:
    """Trains one model into one experiment directory, and goes on from its last checkpoint when started again.

    Args:
        config: the complete configuration.
        model: the recogniser, on its device.
        tokenizer: output units, for validation and for the packed model.
        train_set: utterances to train on, already filtered.
        valid_set: utterances to validate on.
        exp_dir: experiment directory.
        ranks: the processes that train together, this one among them.
        profile: steps to trace, first and last, or None.
    """

    def __init__(
        self,
        config: Config,
        model: AsrModel,
        tokenizer: Tokenizer,
        train_set: UtteranceSet,
        valid_set: UtteranceSet,
        exp_dir: Path,
        ranks: Ranks | None = None,
        profile: tuple[int, int] | None = None,
    ) -> None:
        self.config = config
        self.model = model
        self.tokenizer = tokenizer
        self.train_set = train_set
        self.valid_set = valid_set
        self.exp_dir = exp_dir
        self.ranks = ranks or Ranks()
        self.device = next(model.parameters()).device
        self.sizes = count_parameters(model)
        self.layout = lay_out(model, config.train.parallel, self.ranks)
        self.optimizer = make_optimizer(model, config.optim)
        self.averages = Averages(model, config.train.running_average, config.train.ema)
        self.checkpoints = Checkpoints(exp_dir / "checkpoints")
        self.position = Position()
        self.sums = SumsVector(model.encoder.experts_of_layers())
        self.meters = Meters(config.features.frame_shift_ms / 1000, self.device)
        self.dog = Watchdog(config.train.timeout, self.ranks, self.position)
        self.profile = Profile(profile, exp_dir / "profile", self.ranks)
        self.commit = commit()
        self.digests = digests_of(train_set, valid_set, tokenizer, config.data.shards)
        self.skipped = 0
        self.stop_signal: signal.Signals | None = None
        self.stopping = False
        self.feed = Feed(config, train_set, self.ranks)
        self.total_steps = config.train.max_steps or config.train.epochs * self.feed.steps_of_first_epoch
        self.validate_every = config.train.validate_every or self.feed.steps_of_first_epoch

    def fit(self) -> Path:
        """Train to the last step, average the best weights, and return the path of ``model.pt``.

        Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP finish the step, save the state and raise ``KeyboardInterrupt``.

        Raises:
            UserError: the state is of other data or units; ten steps in a row, or all steps or validations, had a loss
                or gradient that is not finite; memory or disk ran out; data vanished; another rank did.
        """
        self._restore()
        path = self.exp_dir / "model.pt"
        if self.ranks.any(self.ranks.first and path.exists() and self.position.step >= self.total_steps):
            log.info("training is complete: %s", path)
            return path
        self.log = TrainLog(self.exp_dir, self.position.step, self.ranks.first)
        self._announce()
        bar = tqdm(
            total=self.total_steps, initial=self.position.step, desc="train", unit="step",
            disable=None if self.ranks.first else True,
        )  # fmt: skip
        handlers = {s: signal.signal(s, self._on_signal) for s in STOPPING}
        try:
            with bar, logging_redirect_tqdm(), self.dog.watching(), in_one_line(self.ranks, self.exp_dir, self._where):
                self._try_largest_batches()
                self._start = time.monotonic() - self.position.seconds
                self.profile.step(self.position.step)
                self._validate_if_due()
                steps = self._steps()
                while self.position.step < self.total_steps:
                    with self.meters.watch.timing("data"):
                        batches = next(steps)
                    self.train_step(batches)
                    bar.update()
                    self._after_step()
                return self._finish(path)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            with contextlib.suppress(OSError):  # of a full disk there has been word
                self.profile.close()
                self.log.close()

    def _where(self) -> str:
        return f"at step {self.position.step + 1}"

    def train_step(self, batches: list[Batch]) -> None:
        """One optimizer step on ``batches`` and those of the other ranks, each weighed by its share of the frames.

        A step whose loss or gradient is not finite changes nothing.
        """
        frames = self.feed.enter(self.position)
        lr = learning_rate(self.position.step, self.total_steps, self.config.optim)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.dog.sees("a step")
        done: list[tuple[Batch, Losses, float]] = []
        for number, batch in enumerate(batches):
            share = float(batch.lengths_B.sum()) / frames
            self._seed(number)
            last = number + 1 == len(batches)
            with (
                contextlib.nullcontext() if last else self.layout.accumulating(),
                naming_what_is_too_large(described(batch), self._batch_options()),
            ):
                with self.meters.watch.timing("forward"), autocast(self.device):
                    losses = self.layout.forward(batch.to(self.device))
                with self.meters.watch.timing("backward"):
                    (losses.total * share).backward()
            done.append((batch, losses, share))
        too_large = naming_what_is_too_large("the optimizer's step", self._batch_options())
        with self.meters.watch.timing("optimizer"), too_large:
            self.layout.finish_gradients()
            norm = float(clip_gradients(self.model, self.config.optim.clip_norm, self.ranks))
            stops = self.stop_signal is not None
            sums = self.sums.unpack(self.ranks.sum(self.sums.pack(done, stops, self.device)))
            self.position.step += 1
            self.position.done += 1
            self.stopping = sums.stops > 0
            if math.isfinite(norm) and math.isfinite(sums.loss):
                self.optimizer.step()
                self._move_biases(sums)
                self.averages.update()
                self.skipped = 0
                self.meters.add_step(sums, norm, lr)
            else:
                self._skip(done, math.isfinite(sums.loss))
            self.optimizer.zero_grad()

    def _seed(self, number: int) -> None:
        """What dropout and the like draw is a function of seed, step and batch: the same in any number of processes."""
        batch = self.ranks.rank * self.config.optim.accumulate + number
        words = np.random.SeedSequence((self.config.train.seed, self.position.step, batch)).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0]))

    def _move_biases(self, sums: StepSums) -> None:
        """Let the balancing biases follow the load of the step (``balance: bias``)."""
        if self.config.model.balance == "bias":
            loads = {layer: torch.tensor(load_E, device=self.device) for layer, load_E in sums.load_LE.items()}
            self.model.encoder.move_biases(loads)

    def _skip(self, done: list[tuple[Batch, Losses, float]], finite: bool) -> None:
        """Leave the weights as they are; the ranks whose batches broke the step name the utterances and keep them.

        ``finite``: the loss was finite, so it was a gradient, and any batch may have broken it.
        """
        self.skipped += 1
        step, batches = self.position.step, [b for b, losses, _ in done if finite or not losses.total.isfinite()]
        if batches:
            utts = " ".join(utt for batch in batches for utt in batch.utts)
            kept = save_batches(self.exp_dir / "crash", step, self.ranks.rank, batches) if self.skipped == 1 else ""
            where = f", {kept}" if kept else ""
            log.warning("step %d: loss or gradient is not finite, step skipped; utterances%s: %s", step, where, utts)
        else:
            log.warning("step %d: loss is not finite on another rank, step skipped; see train.rank*.log", step)
        if self.skipped >= MOST_SKIPPED:
            raise UserError(
                f"{self.skipped} steps in a row had a loss or gradient that is not finite (utterances in "
                f"{self.exp_dir}/train*.log, the first such batches in {self.exp_dir}/crash); lower --set optim.lr or "
                f"look at those utterances"
            )

    def _steps(self) -> Iterator[list[Batch]]:
        """This rank's batches, a step at a time."""
        alone = self.ranks.size == 1
        # With others, a rank that cannot take the step cannot save either: they are in the midst of it.
        steps = self.feed.steps(
            self.position, self.device.type == "cuda", lambda: alone and self.stop_signal is not None
        )
        while True:
            self.dog.sees("waiting for data")
            try:
                yield next(steps)
            except Interrupted:
                self._stop()
            except UserError:  # of the data; with others, this rank alone cannot save
                if alone:
                    self._save()
                raise

    def _try_largest_batches(self) -> None:
        """Compute the batches that take most memory, of training and validation, so that it fails now, not at night.

        With all layers, and beside what is there later: the optimizer's moments, and gradients of batches before.
        """
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        copies = (0 if self.optimizer.state else 2) + (self.config.optim.accumulate > 1)
        with naming_what_is_too_large("what the optimizer keeps", "model.dim, model.hidden or model.experts"):
            later = [torch.empty_like(p) for p in trained for _ in range(copies)]
        for batch in self.feed.largest(self.position.epoch):
            self.dog.sees("trying a batch that takes most memory")
            self._seed(0)
            with naming_what_is_too_large(described(batch), self._batch_options()), self.model.encoder.all_layers():
                with autocast(self.device):
                    losses = self.layout.forward(batch.to(self.device))
                losses.total.backward()
            self.optimizer.zero_grad()
        self.dog.sees("trying the largest batches of the validation")
        try_largest_batches(self.model, self.valid_set, self.config.decode.batch_frames)
        del later

    def _batch_options(self) -> str:
        data = self.config.data
        return f"data.batch_frames, now {data.batch_frames}, or data.max_frames, now {data.max_frames}"

    def _after_step(self) -> None:
        """Log, validate and save when it is time."""
        position = self.position
        position.seconds = time.monotonic() - self._start
        self.profile.step(position.step)
        if position.step % self.config.train.log_every == 0 or position.step >= self.total_steps:
            self._log_progress()
        self._validate_if_due()
        if self.stopping:
            self._stop()
        if position.step % self.config.train.save_every == 0 and position.validated != position.step:
            self._save()

    def _stop(self) -> None:
        """Save the state, unless that of this step is saved, and end training."""
        if self.position.validated != self.position.step:
            self._save()
        self.ranks.wait()  # for the first rank to have written: torchrun ends them all soon after one has ended
        log.info("interrupted: state saved at step %d; start again to go on", self.position.step)
        raise KeyboardInterrupt

    def _log_progress(self) -> None:
        values = self.meters.summary()
        if not values:
            return
        position = self.position
        left = position.seconds / position.step * (self.total_steps - position.step)
        places = {"step": position.step, "of": self.total_steps, "epoch": position.epoch + 1, "seconds_left": left}
        self.log.record("step", {**places, **values})
        log.info(progress_line(position, self.total_steps, values, left, self.config.model))
        self.meters.clear()

    def _validate_if_due(self) -> None:
        """Validate and save at the steps meant for it, unless that is done or a signal asks to stop."""
        position = self.position
        due = position.step > 0 and position.step % self.validate_every == 0 or position.step >= self.total_steps
        if not due or position.validated == position.step:
            return
        elapsed = self.meters.elapsed()
        result = self._validate()
        if result is None:
            self._stop()
        else:
            position.validated = position.step
            if result.is_finite:
                self._keep_weights(result)
                self._log_validation(result, "")
            else:
                log.warning("valid %d  does not count: its weights are not kept", position.step)
            self._save()
            self.averages.restart()
        self.meters.resume(elapsed)

    def _keep_weights(self, result: Validation) -> None:
        """Keep the weights if the validation is one of the best."""
        by_wer = self.config.train.select_by == "wer"
        figures = (result.wer, result.ctc) if by_wer else (result.ctc, result.wer)
        contents = self._pack(whole_state(self.model, self.ranks.first))
        self.checkpoints.save_weights(self.position, figures, contents, self.config.train.average, self.ranks.first)

    def _log_validation(self, result: Validation, what: str) -> None:
        position = self.position
        self.log.record(
            "average" if what else "valid", {"step": position.step, "epoch": position.epoch + 1, **asdict(result)}
        )
        memory = peak_memory(self.device) / 2**30
        log.info(f"valid {position.step}  ctc {result.ctc:.3f}  wer {result.wer:.2f} %{what}  {memory:.1f} GiB")
        if result.load:
            loads = " ".join(f"{min(load_E):.2f}-{max(load_E):.2f}" for load_E in result.load)
            log.info(f"valid {position.step}  load by layer {loads}")

    def _validate(self) -> Validation | None:
        """Figures on the validation set; None where a signal came."""

        def interrupted() -> bool:
            self.dog.sees("a batch of the validation")
            return self.stop_signal is not None

        budget = self.config.decode.batch_frames
        return validate(self.model, self.valid_set, self.tokenizer, budget, self.ranks, interrupted)

    def _restore(self) -> None:
        """Go on from the newest whole state, in any layout; which that is the first rank finds out for all."""
        chosen = torch.tensor([-1])
        if self.ranks.first:
            self.checkpoints.remove_torn()
            newest = self.checkpoints.newest(set_aside=True)
            chosen = torch.tensor([-1 if newest is None else newest])
        step = int(self.ranks.from_first(chosen))
        self.meters.resume()
        found = self.checkpoints.load_state(step) if step >= 0 else None
        if found is None:
            return
        vars(self.position).update(vars(found[0]))
        with well_formed(self.checkpoints.state(step), STATE, STATE_ADVICE):
            self._take(found[1])

    def _take(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`_save` saved."""
        if state["batches_per_step"] != self.feed.batches_per_step:
            raise UserError(
                f"{self.exp_dir} makes steps of {state['batches_per_step']} batches, now they would have "
                f"{self.feed.batches_per_step} (processes x optim.accumulate); start it with as many as before"
            )
        refuse_other_data(state["digests"], self.digests, self.exp_dir)
        load_whole_state(self.model, state["model"])
        load_optimizer_state(self.optimizer, self.model, state["optimizer"])
        self.averages.load_state(state["averages"])
        if self.position.validated == self.position.step:
            self.averages.restart()
        self.skipped, self.commit = state["skipped"], state["commit"]
        self.meters.load_state(state["meters"])

    def _save(self) -> None:
        """Write the state, from the first rank; all of them give their parts."""
        self.dog.sees("saving the state")
        first = self.ranks.first
        parts = {
            "model": whole_state(self.model, first),
            "optimizer": optimizer_state(self.optimizer, self.model, first),
            "averages": self.averages.state(first),
            "batches_per_step": self.feed.batches_per_step,
            "digests": self.digests,
            "skipped": self.skipped,
            "commit": self.commit,
            "meters": self.meters.state(),
            "package": self._pack({}),
        }
        if first:
            self.checkpoints.save_state(self.position, parts)

    def _finish(self, path: Path) -> Path:
        """Average the best weights into ``model.pt`` and say how it does.

        Raises:
            UserError: no step changed the weights, or no validation was finite, that of the average among them.
        """
        skipped = self.position.step - self.averages.all_steps
        self._require(self.averages.all_steps > 0, f"all {skipped} steps were skipped")
        self._require(bool(self.position.best), "no validation had a finite loss")
        self.dog.sees("averaging the best weights")
        weights = self.checkpoints.average_best(self.position) if self.ranks.first else None
        hand_out_state(self.model, weights, self.ranks)
        result = self._validate()
        if result is None:
            self._stop()
        assert result is not None
        self._require(result.is_finite, "the average of the best weights has a loss that is not finite")
        best = self.position.best
        self._log_validation(result, f"  average of {len(best)} best checkpoints")
        if weights is not None:
            write_info(self.exp_dir, self._info())
            save_package(path, self._pack(weights))
        position, what = self.position, "WER" if self.config.train.select_by == "wer" else "CTC"
        log.info("finished %d steps, %d epochs in %s", position.step, position.epoch + 1, clock(position.seconds))
        if skipped:
            log.warning("%d of %d steps were skipped: their loss or gradient was not finite", skipped, position.step)
        log.info("best checkpoint: step %d, %s %.2f; average of %d: %s", best[0][-1], what, best[0][0], len(best), path)
        log.info("next: stage 4 of the recipe, or omni-asr decode --model %s DATA_DIR OUT_DIR", self.exp_dir)
        return path

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise UserError(
                f"{otherwise}, so there is no model; see {self.exp_dir}/train*.log, lower --set optim.lr or mend the "
                f"data, remove {self.exp_dir} and start again"
            )

    def _pack(self, weights: dict[str, torch.Tensor]) -> Contents:
        return pack(weights, self.config, self.tokenizer, self._info())

    def _info(self) -> Info:
        total, active = self.sizes
        config, position = self.config, self.position
        return {
            "router": config.model.router,
            "experts": config.model.experts,
            "tokens": f"{config.tokens.type} {config.tokens.size}",
            "params_total": total,
            "params_active": active,
            "hours": round(self.train_set.hours(config.features.frame_shift_ms), 3),
            "steps": position.step,
            "epochs": round(self.feed.epochs(position), 2),
            "seed": config.train.seed,
            "train_seconds": round(position.seconds, 1),
            "commit": self.commit,
            "command": read_command(self.exp_dir),
        }

    def _announce(self) -> None:
        model, train = self.config.model, self.config.train
        log.info(
            "%s, experts %s: %.2f M parameters, %.2f M active; %.2f h in %d training utterances; %d steps on %s%s%s",
            *(model.router, model.experts, self.sizes[0] / 1e6, self.sizes[1] / 1e6),
            self.train_set.hours(self.config.features.frame_shift_ms),
            *(len(self.train_set), self.total_steps, self.device.type),
            f" of {self.ranks.size} processes ({train.parallel})" if self.ranks.size > 1 else "",
            f"; going on from step {self.position.step}" if self.position.step else "",
        )
        log.info(
            "in the log: loss and ctc are in nats per unit; load is the least and the largest share of an expert in "
            "any layer; xRT is times real time; data is the share of the time that training waited for it"
        )
        warmup = self.config.optim.warmup_steps
        if 4 * warmup > self.total_steps:
            log.warning(
                "%d of %d steps are warm-up, so little will be learnt: lower optim.warmup_steps or data.batch_frames, "
                "or raise train.epochs",
                *(min(warmup, self.total_steps), self.total_steps),
            )

    def _on_signal(self, number: int, frame: object) -> None:
        """Finish the step, then stop; a second Ctrl-C stops at once. A cluster may send its warning more than once."""
        if self.stop_signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop_signal = signal.Signals(number)
