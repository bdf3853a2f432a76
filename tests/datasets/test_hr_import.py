from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from h2r_bench.datasets import DatasetError, EpisodeStore
from h2r_bench.datasets.hand_robot_alignment import fit_alignment
from h2r_bench.datasets.hr_files import LEDGER
from h2r_bench.datasets.hr_import import ImportReport, import_folder, read_episode
from h2r_bench.geometry import rotvec_to_6d, rotvec_to_matrix

if TYPE_CHECKING:
    from pathlib import Path

h5py = pytest.importorskip("h5py")

STEPS = 12
SIZE = (40, 24)
"""Width and height of the pictures in the files of these tests [pixels]."""


def make_arrays(steps: int = STEPS, size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    """The arrays of one file: the arm moves along x and yaws; the left hand turns as the arm does."""
    width, height = size
    video = np.zeros((steps, height, width, 3), np.uint8)
    video[..., 0] = 200  # blue comes first
    video[:, :, width // 2 :, 2] = np.arange(steps, dtype=np.uint8)[:, None, None] * 10
    yaw = np.linspace(0.0, 55.0, steps)
    euler = np.column_stack([np.full(steps, 180.0), np.zeros(steps), yaw])
    position = np.column_stack(
        [np.linspace(300.0, 410.0, steps), np.full(steps, -50.0), np.full(steps, 120.0)]
    )
    coords = np.zeros((steps, 24, 3), np.float32)
    coords[:, 2] = [0.01, 0.02, 0.011]
    coords[:, 19], coords[:, 20] = [0.05, 0.1, 0.02], [0.02, 0.12, 0.0]
    coords[steps // 2 :, 20] = [0.05, 0.1, 0.02]
    return {
        "cam_data/human_camera": video,
        "cam_data/robot_camera": video[:, :, ::-1].copy(),
        "end_position": np.hstack([position, euler]).astype(np.float32),
        "gripper_state": (np.arange(steps) < steps // 2).astype(np.float32),
        "transformed_hand_coords": coords,
        "transformed_hand_frames": make_frames(yaw),
        "step": np.arange(steps),
        "timestamp": np.arange(steps) / 30.0,
    }


def make_frames(yaw_deg: np.ndarray) -> np.ndarray:
    """Hand frames in Unity (x right, y up, z forward): palm down, turned about the vertical."""
    # Left-handed: a turn to the left as seen from above is a negative one about y.
    turned = Rotation.from_euler("y", -yaw_deg[:, None], degrees=True).as_matrix()
    axes = np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])  # left, palm, knuckles
    rows = np.einsum("tij,aj->tai", turned, axes)
    wrist = np.tile([-0.1, 0.8, 0.4], (len(yaw_deg), 1, 1))
    return np.concatenate([wrist, rows], axis=1).astype(np.float32)


def write_file(path: Path, arrays: dict[str, np.ndarray] | None = None, **changed: Any) -> Path:
    """Write a file of the authors' layout; `changed` replaces arrays by last part of key, None omits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, values in (arrays or make_arrays()).items():
            values = changed.get(key.rpartition("/")[2], values)
            if values is not None:
                file.create_dataset(key, data=values, compression="gzip")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tasks, three files."""
    for name in ("grab_cube/episode_10.hdf5", "grab_cube/episode_9.hdf5", "push_plate/episode_0.hdf5"):
        write_file(tmp_path / "raw" / name)
    return tmp_path / "raw"


def test_the_robot_is_read_in_metres_and_relative_to_gripper_down(tmp_path: Path) -> None:
    episode = read_episode(write_file(tmp_path / "push_the_plate/episode_0.hdf5"), stride=3, image_size=SIZE)
    arrays = make_arrays()
    yaw = np.radians(arrays["end_position"][::3, 5])
    rotvec = np.column_stack([np.zeros((4, 2)), yaw])
    np.testing.assert_allclose(episode.state[:, :3], arrays["end_position"][::3, :3] / 1000, atol=1e-6)
    np.testing.assert_allclose(episode.state[:, 3:9], rotvec_to_6d(rotvec), atol=1e-6)
    np.testing.assert_array_equal(episode.state[:, 9], [1, 1, 0, 0])
    np.testing.assert_allclose(episode.action[:3, :3], episode.state[1:, :3])
    np.testing.assert_allclose(episode.action[:, 3:6], rotvec[[1, 2, 3, 3]], atol=1e-6)
    np.testing.assert_array_equal(episode.action[:, 6], [1, 0, 0, 0])
    np.testing.assert_array_equal(episode.human_frame_index, np.arange(4))
    assert episode.state.dtype == episode.action.dtype == episode.hand_pose.dtype == np.float32
    assert (episode.task, episode.instruction) == ("push_the_plate", "push the plate")
    assert (episode.success, episode.world, episode.cue, episode.seed) == (True, 0, "scene", 0)


def test_pictures_become_rgb_of_the_size_asked_for(tmp_path: Path) -> None:
    path = write_file(tmp_path / "task/episode_0.hdf5")
    episode = read_episode(path, stride=1, image_size=SIZE)
    np.testing.assert_array_equal(episode.human, make_arrays()["cam_data/human_camera"][..., ::-1])
    np.testing.assert_array_equal(episode.robot, make_arrays()["cam_data/robot_camera"][..., ::-1])
    small = read_episode(path, stride=3, image_size=(20, 12))
    assert small.human.shape == small.robot.shape == (4, 12, 20, 3)
    np.testing.assert_allclose(small.human[:, 6, [4, 16], 0], [[0, 0], [0, 30], [0, 60], [0, 90]], atol=2)
    with pytest.raises(ValueError, match="even"):
        read_episode(path, image_size=(21, 12))
    with pytest.raises(ValueError, match="stride"):
        read_episode(path, stride=0)


def test_the_hand_is_placed_in_the_tracker_frame(tmp_path: Path) -> None:
    episode = read_episode(write_file(tmp_path / "task/a.hdf5"), stride=1, image_size=SIZE)
    # A left hand, palm down and pointing forward: its thumb is to the right, 11 cm on, 1 cm below the palm.
    np.testing.assert_allclose(episode.hand_pose[0, :3], [-0.1 + 0.035, 0.8 - 0.01, 0.4 + 0.11], atol=1e-6)
    opening = np.linalg.norm([0.03, 0.02, 0.02]) / 0.08
    np.testing.assert_allclose(episode.hand_opening, [opening] * 6 + [0.0] * 6, atol=1e-6)
    assert episode.scene == {
        "source": "task/a.hdf5",
        "hand": "left",
        "hand_frame": "tracker",
        "hand_tracked": 1.0,
    }


def test_a_right_hand_is_the_mirror_image_of_a_left_one(tmp_path: Path) -> None:
    coords = make_arrays()["transformed_hand_coords"] * [1, 1, -1]
    right = read_episode(
        write_file(tmp_path / "task/a.hdf5", transformed_hand_coords=coords), image_size=SIZE
    )
    np.testing.assert_allclose(right.hand_pose[0, :3], [-0.1 - 0.035, 0.8 - 0.01, 0.4 + 0.11], atol=1e-6)
    assert right.scene["hand"] == "right"


def test_a_hand_that_turns_with_the_arm_keeps_its_orientation(tmp_path: Path) -> None:
    arrays = make_arrays()
    arrays["end_position"][:, 3:5] += [4.0, -7.0]
    episode = read_episode(write_file(tmp_path / "task/a.hdf5", arrays), stride=1, image_size=SIZE)
    turn = rotvec_to_matrix(episode.hand_pose[:, 3:])
    # About the hand's own vertical, that is the tool's approach axis, and by the same angle.
    relative = Rotation.from_matrix(np.swapaxes(turn[:1], 1, 2) @ turn).as_rotvec(degrees=True)
    np.testing.assert_allclose(relative, np.outer(np.linspace(0.0, 55.0, STEPS), [0, 0, 1]), atol=1e-3)
    np.testing.assert_allclose(rotvec_to_6d(episode.hand_pose[0, 3:]), episode.state[0, 3:9], atol=1e-6)


def test_an_alignment_carries_the_hand_into_the_robots_frame(tmp_path: Path) -> None:
    hand = np.array([[-0.4, 0.8, 0.2], [0.0, 0.8, 0.5], [0.0, 0.8, 0.2]])
    robot = np.array([[0.3, 0.8, 0.0], [0.9, 0.0, 0.0], [0.3, 0.0, 0.0]])
    alignment = fit_alignment(hand, robot, left_handed=True)
    path = write_file(tmp_path / "task/a.hdf5")
    episode = read_episode(path, image_size=SIZE, alignment=alignment)
    np.testing.assert_allclose(episode.hand_pose[0, :3], [0.3 + 2 * 0.31, 2 * 0.065, -2 * 0.01], atol=1e-6)
    assert episode.scene["hand_frame"] == "robot_base"


def test_a_lost_hand_stays_where_it_was(tmp_path: Path) -> None:
    arrays = make_arrays()
    arrays["transformed_hand_frames"][[0, 5, 6]] = 0.0
    arrays["transformed_hand_coords"][[0, 5, 6]] = 0.0
    episode = read_episode(write_file(tmp_path / "task/a.hdf5", arrays), stride=1, image_size=SIZE)
    np.testing.assert_array_equal(episode.hand_pose[[0, 5, 6]], episode.hand_pose[[1, 4, 4]])
    np.testing.assert_array_equal(episode.hand_opening[[0, 5, 6]], episode.hand_opening[[1, 4, 4]])
    assert episode.scene["hand_tracked"] == pytest.approx(0.75)


FOREIGN: list[tuple[str, Any, str]] = [
    ("human_camera", None, "cam_data/human_camera is missing"),
    ("transformed_hand_frames", None, "transformed_hand_frames is missing"),
    (
        "human_camera",
        np.zeros((STEPS, 24, 40, 3), np.float32),
        "cam_data/human_camera is float32, expected uint8",
    ),
    ("robot_camera", np.zeros((STEPS, 24, 40), np.uint8), r"cam_data/robot_camera has shape \(12, 24, 40\)"),
    (
        "robot_camera",
        np.zeros((STEPS, 24, 38, 3), np.uint8),
        r"cam_data/robot_camera has pictures of \(24, 38\)",
    ),
    ("end_position", np.zeros((STEPS, 7)), r"end_position has shape \(12, 7\), expected \(T, 6\)"),
    ("end_position", np.zeros((STEPS - 1, 6)), "end_position has 11 steps, cam_data/human_camera has 12"),
    ("end_position", np.full((STEPS, 6), np.nan), "end_position is not finite at step 0"),
    ("gripper_state", np.array([b"open"] * STEPS), "gripper_state is .S4, expected numbers"),
    ("gripper_state", np.full(STEPS, 850.0), r"gripper_state spans 850 .. 850, expected 0 .. 1"),
    ("transformed_hand_coords", np.zeros((STEPS, 21, 3)), r"transformed_hand_coords has shape \(12, 21, 3\)"),
    ("transformed_hand_coords", np.zeros((STEPS, 24, 3)), "transformed_hand_coords tells no left hand"),
    (
        "transformed_hand_frames",
        np.zeros((STEPS, 4, 3)),
        "transformed_hand_frames holds no right-angled axes",
    ),
]


@pytest.mark.parametrize(("key", "values", "message"), FOREIGN)
def test_a_foreign_file_is_refused_with_file_and_key(
    tmp_path: Path, key: str, values: Any, message: str
) -> None:
    path = write_file(tmp_path / "task/odd.hdf5", **{key: values})
    with pytest.raises(DatasetError, match=rf"odd.hdf5: {message}"):
        read_episode(path, image_size=SIZE)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "task/cut.hdf5")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DatasetError, match=r"cut.hdf5 cannot be read as HDF5"):
        read_episode(path, image_size=SIZE)
    path.write_text("no HDF5")
    with pytest.raises(DatasetError, match=r"cut.hdf5 cannot be read as HDF5"):
        read_episode(path, image_size=SIZE)


def test_a_folder_is_imported_in_the_order_of_its_names(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = import_folder(
        folder, tmp_path / "data", image_size=SIZE, progress=lambda done, of: seen.append((done, of))
    )
    assert report == ImportReport(imported=3, skipped=0, steps=12)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    store = EpisodeStore.open(tmp_path / "data")
    assert (len(store), store.meta.world, store.meta.image_size, store.meta.rate_hz) == (3, 0, SIZE, 10.0)
    assert [store[i].scene["source"].rpartition("/")[2] for i in range(3)] == [
        "episode_9.hdf5",
        "episode_10.hdf5",
        "episode_0.hdf5",
    ]
    read, wrote = store[2], read_episode(folder / "push_plate/episode_0.hdf5", image_size=SIZE)
    assert (read.task, read.instruction, read.seed, read.world) == ("push_plate", "push plate", 2, 0)
    for key in ("state", "action", "hand_pose", "hand_opening", "human_frame_index"):
        np.testing.assert_array_equal(getattr(read, key), getattr(wrote, key))
    assert np.abs(read.robot.astype(int) - wrote.robot).mean() < 4


def test_what_was_imported_is_skipped_and_what_was_added_comes_last(folder: Path, tmp_path: Path) -> None:
    import_folder(folder, tmp_path / "data", image_size=SIZE)
    write_file(folder / "a_new_task/episode_0.hdf5")
    report = import_folder(folder, tmp_path / "data", image_size=SIZE)
    assert (report.imported, report.skipped) == (1, 3)
    store = EpisodeStore.open(tmp_path / "data")
    assert [store[i].task for i in range(len(store))] == [
        "grab_cube",
        "grab_cube",
        "push_plate",
        "a_new_task",
    ]
    with pytest.raises(DatasetError, match="made otherwise"):
        import_folder(folder, tmp_path / "data", image_size=(20, 12))


def test_a_damaged_file_loses_nothing_that_was_imported(folder: Path, tmp_path: Path) -> None:
    odd = folder / "push_plate/episode_0.hdf5"
    write_file(odd, gripper_state=np.full(STEPS, 7.0))
    with pytest.raises(DatasetError, match="gripper_state"):
        import_folder(folder, tmp_path / "data", image_size=SIZE)
    assert len(EpisodeStore.open(tmp_path / "data")) == 2
    write_file(odd)
    assert import_folder(folder, tmp_path / "data", image_size=SIZE) == ImportReport(1, 2, 4)
    assert [episode.seed for episode in EpisodeStore.open(tmp_path / "data")] == [0, 1, 2]


def test_an_interruption_between_episode_and_ledger_repeats_nothing(folder: Path, tmp_path: Path) -> None:
    import_folder(folder, tmp_path / "data", image_size=SIZE)
    ledger = tmp_path / "data" / LEDGER
    known = json.loads(ledger.read_text())
    del known["push_plate/episode_0.hdf5"]
    ledger.write_text(json.dumps(known))
    import_folder(folder, tmp_path / "data", image_size=SIZE)
    assert [episode.seed for episode in EpisodeStore.open(tmp_path / "data")] == [0, 1, 2]
    ledger.write_text("{")
    with pytest.raises(DatasetError, match=f"{LEDGER} is not readable"):
        import_folder(folder, tmp_path / "data", image_size=SIZE)


def test_files_of_another_layout_or_size_are_found_before_anything_is_written(
    folder: Path, tmp_path: Path
) -> None:
    out, odd = tmp_path / "data", folder / "push_plate/episode_1.hdf5"
    write_file(odd, make_arrays(size=(48, 24)))
    with pytest.raises(
        DatasetError, match=r"episode_1.hdf5: cam_data/human_camera has pictures of 48x24, .* 40x24"
    ):
        import_folder(folder, out, image_size=SIZE)
    write_file(odd, end_position=None)
    with pytest.raises(DatasetError, match=r"episode_1.hdf5: end_position is missing"):
        import_folder(folder, out, image_size=SIZE)
    assert not out.exists()


def test_there_must_be_something_to_import_at_a_rate_that_divides(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty holds no .hdf5"):
        import_folder(tmp_path / "empty", tmp_path / "data")
    with pytest.raises(DatasetError, match="absent is not a folder"):
        import_folder(tmp_path / "absent", tmp_path / "data")
    for rate_hz in (7.0, 60.0, 0.0, -1.0):
        with pytest.raises(ValueError, match="rate_hz must be 30 divided by a whole number"):
            import_folder(folder, tmp_path / "data", rate_hz=rate_hz)
    import_folder(folder, tmp_path / "slow", rate_hz=5.0, image_size=SIZE)
    assert len(EpisodeStore.open(tmp_path / "slow")[0]) == 2


def test_a_folder_name_too_long_for_an_instruction_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="folder has over 128 bytes"):
        read_episode(write_file(tmp_path / ("x" * 129) / "a.hdf5"), image_size=SIZE)


def test_without_h5py_the_extra_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(RuntimeError, match=r"pip install 'h2r-bench\[hdf5\]'"):
        import_folder(folder, tmp_path / "data")
