from .found_pictures import (
    draw_found as draw_found,
    picture_of as picture_of,
)
from .numbered_pictures import (
    check_picture_folder as check_picture_folder,
    number_of_picture as number_of_picture,
    picture_name as picture_name,
    write_pictures as write_pictures,
)
from .opening import (
    OUTPUT_SUFFIXES as OUTPUT_SUFFIXES,
    OutputError as OutputError,
    Outputs as Outputs,
    check_output_libraries as check_output_libraries,
    check_outputs as check_outputs,
    open_outputs as open_outputs,
)
from .picture_size import enlargement as enlargement
from .viewing import (
    HOLD as HOLD,
    ShownBoxes as ShownBoxes,
    View as View,
    bins_to_show as bins_to_show,
    contact_sheet as contact_sheet,
    fit_sheet as fit_sheet,
    show_boxes as show_boxes,
    view_frames as view_frames,
)
from .written_files import (
    check_folder_apart as check_folder_apart,
    dataset_files as dataset_files,
    label_maps_of as label_maps_of,
    prepare_files as prepare_files,
    recording_files as recording_files,
    run_files as run_files,
)
