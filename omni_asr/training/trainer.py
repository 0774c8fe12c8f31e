"""The training loop.

The way of one step: ``bin/train.py:main`` -> ``Trainer.fit`` -> ``Trainer.train_step`` -> ``AsrModel.forward`` -> loss.
``docs/training_step.md`` walks it.
"""

import itertools
import logging
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from omni_asr.config import Config
from omni_asr.data.batch import Batch
from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.loading import STOPPING, load_batches
from omni_asr.data.sampler import EpochPlan, plan_epoch
from omni_asr.data.specaugment import SpecAugment
from omni_asr.devices import autocast
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel, Losses, count_parameters
from omni_asr.models.package import Info, save_package
from omni_asr.text.tokenizer import Tokenizer
from omni_asr.training.checkpoint import Checkpoints, Position
from omni_asr.training.experiment import commit, read_command, write_info
from omni_asr.training.logging import TrainLog, clock
from omni_asr.training.meters import Meters
from omni_asr.training.optim import learning_rate, make_optimizer
from omni_asr.training.validation import Validation, validate

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
    """

    def __init__(
        self,
        config: Config,
        model: AsrModel,
        tokenizer: Tokenizer,
        train_set: UtteranceSet,
        valid_set: UtteranceSet,
        exp_dir: Path,
    ) -> None:
        self.config = config
        self.model = model
        self.tokenizer = tokenizer
        self.train_set = train_set
        self.valid_set = valid_set
        self.exp_dir = exp_dir
        self.device = next(model.parameters()).device
        self.optimizer = make_optimizer(model, config.optim)
        self.checkpoints = Checkpoints(exp_dir / "checkpoints")
        self.position = Position()
        self.meters = Meters(config.features.frame_shift_ms / 1000)
        self.commit = commit()
        self.skipped = 0
        self.stop_signal: signal.Signals | None = None
        steps_per_epoch = len(self._plan(0))
        self.total_steps = config.train.max_steps or config.train.epochs * steps_per_epoch
        self.validate_every = config.train.validate_every or steps_per_epoch

    def fit(self) -> Path:
        """Train to the last step, average the best weights, and return the path of ``model.pt``.

        Ctrl-C and SIGTERM finish the step, save the state and raise ``KeyboardInterrupt``.

        Raises:
            UserError: ten steps in a row had a loss or gradient that is not finite.
        """
        state = self.checkpoints.load_state()
        if state is not None:
            self.position, tensors = state
            self.model.load_state_dict(tensors["model"])
            self.optimizer.load_state_dict(tensors["optimizer"])
            self.skipped = tensors["skipped"]
            self.commit = tensors["commit"]
            self.meters.load_state(tensors["meters"], self.device)
        path = self.exp_dir / "model.pt"
        if path.exists() and self.position.step >= self.total_steps:
            log.info("training is complete: %s", path)
            return path
        self.log = TrainLog(self.exp_dir, self.position.step)
        self._announce()
        self._start = time.monotonic() - self.position.seconds
        self.meters.resume(self.meters.elapsed() if state is None else tensors["meters"]["elapsed"])
        bar = tqdm(total=self.total_steps, initial=self.position.step, desc="train", unit="step", disable=None)
        handlers = {s: signal.signal(s, self._on_signal) for s in STOPPING}
        try:
            with bar, logging_redirect_tqdm():
                self._validate_if_due()
                groups = self._groups()
                while self.position.step < self.total_steps:
                    self.train_step(next(groups))
                    bar.update()
                    self._after_step()
            return self._finish(path)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self.log.close()

    def train_step(self, batches: list[Batch]) -> None:
        """One optimizer step on the mean loss of ``batches``; skipped when loss or gradient is not finite."""
        optim = self.config.optim
        lr = learning_rate(self.position.step, self.total_steps, optim)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad()
        done: list[tuple[Batch, Losses]] = []
        for batch in batches:
            with autocast(self.device):
                losses = self.model(batch.to(self.device))
            (losses.total / len(batches)).backward()
            done.append((batch, losses))
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), optim.clip_norm))
        self.position.step += 1
        self.position.batch += len(batches)
        if math.isfinite(norm) and all(math.isfinite(losses.total.item()) for _, losses in done):
            self.optimizer.step()
            self._move_biases([losses for _, losses in done])
            self.skipped = 0
            self.meters.add_step(done, norm, lr)
        else:
            self._skip(batches)

    def _move_biases(self, done: list[Losses]) -> None:
        """Let the balancing biases follow the mean load of the step's batches (``balance: bias``)."""
        if self.config.model.balance == "bias":
            layers = {layer for losses in done for layer in losses.load_LE}
            loads = {n: [losses.load_LE[n] for losses in done if n in losses.load_LE] for n in sorted(layers)}
            self.model.encoder.move_biases({n: torch.stack(load).mean(0) for n, load in loads.items()})

    def _skip(self, batches: list[Batch]) -> None:
        """Leave the weights as they are and name the utterances."""
        self.skipped += 1
        utts = " ".join(utt for batch in batches for utt in batch.utts)
        log.warning("step %d: loss or gradient is not finite, step skipped; utterances: %s", self.position.step, utts)
        if self.skipped >= MOST_SKIPPED:
            raise UserError(
                f"{self.skipped} steps in a row had a loss or gradient that is not finite (utterances in "
                f"{self.exp_dir}/train.log); lower --set optim.lr or look at those utterances"
            )

    def _plan(self, epoch: int) -> EpochPlan:
        data, train = self.config.data, self.train_set
        shards = train.shards if data.shards else None
        return plan_epoch(train.frames, data, self.config.train.seed, epoch, self.config.optim.accumulate, shards)

    def _groups(self) -> Iterator[list[Batch]]:
        """Batches of one optimizer step each, epoch after epoch, from where training stands."""
        data, accumulate = self.config.data, self.config.optim.accumulate
        augments = data.time_masks > 0 or data.frequency_masks > 0
        augment = SpecAugment(data, self.config.train.seed) if augments else None
        dataset = BatchDataset(self.train_set, augment, read_ahead=data.shards)
        while True:
            keys = self._plan(self.position.epoch).walk(self.position.batch // accumulate)
            batches = load_batches(dataset, keys, data.workers, pin=self.device.type == "cuda")
            while group := list(itertools.islice(batches, accumulate)):
                yield group
            self.position.epoch, self.position.batch = self.position.epoch + 1, 0

    def _after_step(self) -> None:
        """Log, validate and save when it is time."""
        position = self.position
        position.seconds = time.monotonic() - self._start
        if position.step % self.config.train.log_every == 0 or position.step >= self.total_steps:
            self._log_progress()
        self._validate_if_due()
        if self.stop_signal is not None:
            self._save()
            log.info("interrupted: state saved at step %d; start again to go on", position.step)
            raise KeyboardInterrupt

    def _log_progress(self) -> None:
        values = self.meters.summary()
        if not values:
            return
        step = self.position.step
        left = self.position.seconds / step * (self.total_steps - step)
        self.log.record("step", {"step": step, "epoch": self.position.epoch, **values})
        shares = [share for load_E in values["load"] for share in load_E]
        load = f"  load {min(shares):.2f}-{max(shares):.2f}" if shares else ""
        load += f"  dropped {100 * values['drop_rate']:.1f} %" if self.config.model.capacity_factor else ""
        log.info(
            f"step {step}/{self.total_steps}  epoch {self.position.epoch}  loss {values['loss']:.3f}"
            f"  ctc {values['ctc']:.3f}  balance {values['balance']:.3f}  grad {values['grad_norm']:.2f}"
            f"  lr {values['lr']:.2e}{load}"
            f"  {values['utts_per_s']:.0f} utt/s  {values['times_real_time']:.0f} x real time  left {clock(left)}"
        )
        self.meters.clear()

    def _validate_if_due(self) -> None:
        """Validate and save at the steps meant for it, unless that is done or a signal asks to stop."""
        position = self.position
        due = position.step > 0 and position.step % self.validate_every == 0 or position.step >= self.total_steps
        if not due or position.validated == position.step:
            return
        elapsed = self.meters.elapsed()
        budget = self.config.decode.batch_frames
        result = validate(self.model, self.valid_set, self.tokenizer, budget, lambda: self.stop_signal is not None)
        if result is not None:
            position.validated = position.step
            figure = result.wer if self.config.train.select_by == "wer" else result.ctc
            self.checkpoints.save_weights(position, figure, self.model.state_dict(), self.config.train.average)
            self._log_validation(result, "")
            self._save()
        self.meters.resume(elapsed)

    def _log_validation(self, result: Validation, what: str) -> None:
        position = self.position
        self.log.record(
            "average" if what else "valid", {"step": position.step, "epoch": position.epoch, **asdict(result)}
        )
        log.info(f"valid {position.step}  ctc {result.ctc:.3f}  wer {result.wer:.2f} %{what}")
        for layer, load_E in enumerate(result.load):
            log.info(
                f"valid {position.step}  load of layer {layer + 1}: " + " ".join(f"{share:.2f}" for share in load_E)
            )

    def _save(self) -> None:
        tensors: dict[str, Any] = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        more = {"skipped": self.skipped, "commit": self.commit, "meters": self.meters.state()}
        self.checkpoints.save_state(self.position, {**tensors, **more})

    def _finish(self, path: Path) -> Path:
        """Average the best weights into ``model.pt`` and say how it does."""
        weights = self.checkpoints.average_best(self.position)
        self.model.load_state_dict(weights)
        result = validate(self.model, self.valid_set, self.tokenizer, self.config.decode.batch_frames)
        assert result is not None
        self._log_validation(result, f"  average of {len(self.position.best)} best checkpoints")
        info = self._info()
        write_info(self.exp_dir, info)
        save_package(path, weights, self.config, self.tokenizer, info)
        log.info("finished %d steps in %s: %s", self.position.step, clock(self.position.seconds), path)
        return path

    def _info(self) -> Info:
        total, active = count_parameters(self.model)
        config, position = self.config, self.position
        epochs = position.epoch + position.batch / (config.optim.accumulate * len(self._plan(position.epoch)))
        return {
            "router": config.model.router,
            "experts": config.model.experts,
            "tokens": f"{config.tokens.type} {config.tokens.size}",
            "params_total": total,
            "params_active": active,
            "hours": round(self.train_set.hours(config.features.frame_shift_ms), 3),
            "steps": position.step,
            "epochs": round(epochs, 2),
            "seed": config.train.seed,
            "train_seconds": round(position.seconds, 1),
            "commit": self.commit,
            "command": read_command(self.exp_dir),
        }

    def _announce(self) -> None:
        total, active = count_parameters(self.model)
        log.info(
            "%s, experts %s: %.2f M parameters, %.2f M active; %.2f h in %d training utterances; %d steps on %s%s",
            *(self.config.model.router, self.config.model.experts, total / 1e6, active / 1e6),
            self.train_set.hours(self.config.features.frame_shift_ms),
            *(len(self.train_set), self.total_steps, self.device),
            f"; going on from step {self.position.step}" if self.position.step else "",
        )
        log.info(
            "in the log: ctc is in nats per unit; load is the least and the largest share of an expert in any layer"
        )
        self._warn_of_a_short_training()

    def _warn_of_a_short_training(self) -> None:
        warmup = self.config.optim.warmup_steps
        if 4 * warmup > self.total_steps:
            log.warning(
                "%d of %d steps are warm-up, so little will be learnt: lower optim.warmup_steps or data.batch_frames, "
                "or raise train.epochs",
                *(min(warmup, self.total_steps), self.total_steps),
            )

    def _on_signal(self, number: int, frame: object) -> None:
        """First signal: finish the step, then stop. Second: stop at once."""
        if self.stop_signal is not None:
            raise KeyboardInterrupt
        self.stop_signal = signal.Signals(number)
