"""Wrong exports to Hugging Face's layout: the command fails and keeps nothing."""

import pytest

from gptkit.interchange import hf as hf_room
from gptkit.interchange import hf_config, parameters
from tests.interchange import mistakes


class TestPlantedMistakes:
    """An export that is wrong ends with an error and leaves nothing behind."""

    def assert_refused(self, gptkit, folder, *words):
        result = gptkit("export", "hf", "--out", "out")

        assert result.code == 1, result.err
        assert "was not kept" in result.err and all(word in result.err for word in words)
        assert [path.name for path in folder.iterdir() if "out" in path.name] == []

    def test_swapped_gate_and_up(self, trained, gptkit, monkeypatch):
        original = parameters.to_theirs

        def swapped(weights, slots):
            tensors = original(weights, slots)
            swap = {"gate_proj": "up_proj", "up_proj": "gate_proj"}
            return {
                next((n.replace(a, b) for a, b in swap.items() if a in n), n): tensor
                for n, tensor in tensors.items()
            }

        monkeypatch.setattr("gptkit.interchange.hf.to_theirs", swapped)

        self.assert_refused(gptkit, trained, "log-probabilities", "read back: weights")

    def test_swapped_gate_and_up_in_both_directions(self, trained, gptkit, monkeypatch):
        """A wrong table reads its own mistake back; only the other program sees it."""
        mistakes.swap_gate_and_up(monkeypatch)

        self.assert_refused(gptkit, trained, "log-probabilities")

    def test_lost_qk_norm(self, trained, gptkit, monkeypatch):
        original = parameters.to_theirs

        def lost(weights, slots):
            return {n: t for n, t in original(weights, slots).items() if "q_norm" not in n}

        monkeypatch.setattr("gptkit.interchange.hf.to_theirs", lost)

        self.assert_refused(gptkit, trained, "q_norm.weight' is missing")

    @pytest.mark.parametrize("key", ["rope_theta", "rope_parameters"])
    def test_missing_rope_theta(self, key, trained, gptkit, monkeypatch):
        original = hf_config._llama

        def missing(*args):
            return {name: value for name, value in original(*args).items() if name != key}

        monkeypatch.setattr(hf_config, "_llama", missing)

        self.assert_refused(gptkit, trained, "settings")

    def test_padded_vocabulary_rows(self, trained, gptkit, monkeypatch):
        mistakes.pad_vocabulary(monkeypatch, hf_room)

        self.assert_refused(gptkit, trained, "embed_tokens")

    def test_rows_in_another_rotary_order(self, trained, gptkit, monkeypatch):
        """Interleaved, as Meta's own files are, and read back so: only the other program sees it."""
        theirs, ours = parameters.to_theirs, parameters.to_ours

        def permuted(tensors, shape):
            turned = ("q_proj.weight", "k_proj.weight")
            return {
                n: t.view(2, *shape, 16).transpose(1, 2).reshape(16, 16).clone()
                if n.endswith(turned)
                else t
                for n, t in tensors.items()
            }

        monkeypatch.setattr(hf_room, "to_theirs", lambda *args: permuted(theirs(*args), (2, 4)))
        monkeypatch.setattr(hf_room, "to_ours", lambda t, slots: ours(permuted(t, (4, 2)), slots))

        self.assert_refused(gptkit, trained, "log-probabilities")

    def test_permuted_queries(self, trained, gptkit, monkeypatch):
        names = parameters._llama_names

        def permuted(config):
            for ours, theirs, transposed in names(config):
                order = (1, 0, 2) if len(theirs) == 3 else range(len(theirs))
                yield ours, tuple(theirs[i] for i in order), transposed

        monkeypatch.setattr(parameters, "_llama_names", permuted)

        self.assert_refused(gptkit, trained, "log-probabilities")
