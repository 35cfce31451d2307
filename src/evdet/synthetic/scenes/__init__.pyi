from .motion import Path as Path, draw_path as draw_path, frame_times as frame_times
from .scene import (
    KINDS as KINDS,
    MIN_SIZE as MIN_SIZE,
    MIN_VISIBLE as MIN_VISIBLE,
    SCENE_BOX_DTYPE as SCENE_BOX_DTYPE,
    SceneOptions as SceneOptions,
    ScenePiece as ScenePiece,
    classes_of as classes_of,
    draw_scene as draw_scene,
    play_scene as play_scene,
)
