// Detects in frames with an exported model, without Python: memory goes in and comes out.
//
//   evdet export events-digits digits.onnx --fixed-shape
//   g++ -std=c++17 -O2 detect.cpp -I INCLUDE -L LIB -lonnxruntime -o detect
//   ./detect digits.onnx frames.f32 0.3
//
// frames.f32 holds one frame of 32-bit floats (channels, height, width) after another. A line of the
// output is a box: index of the frame, label from 1, score, x1 y1 x2 y2 in pixels.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: detect MODEL.onnx FRAMES.f32 SCORE_THRESH\n");
    return 2;
  }
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "detect");
  Ort::Session session(env, argv[1], Ort::SessionOptions{});
  Ort::AllocatorWithDefaultOptions allocator;
  float score_thresh = std::strtof(argv[3], nullptr);

  // The inputs: the frame, a tensor of zeros for each part of the memory, and one threshold.
  std::vector<std::string> inputs, outputs{"boxes", "labels", "scores"};
  std::vector<Ort::Value> values;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    std::string name = session.GetInputNameAllocated(i, allocator).get();
    bool is_memory = name.rfind("memory_", 0) == 0;
    if (name != "frame" && !is_memory) continue;  // others may be left out
    auto shape = session.GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetShape();
    values.push_back(Ort::Value::CreateTensor<float>(allocator, shape.data(), shape.size()));
    size_t count = values.back().GetTensorTypeAndShapeInfo().GetElementCount();
    std::fill_n(values.back().GetTensorMutableData<float>(), count, 0.0f);
    inputs.push_back(name);
    if (is_memory) outputs.push_back("next_" + name);
  }
  inputs.push_back("score_thresh");
  values.push_back(Ort::Value::CreateTensor<float>(allocator, nullptr, 0));
  *values.back().GetTensorMutableData<float>() = score_thresh;
  std::vector<const char*> input_names, output_names;
  for (auto& name : inputs) input_names.push_back(name.c_str());
  for (auto& name : outputs) output_names.push_back(name.c_str());

  std::ifstream file(argv[2], std::ios::binary);
  size_t frame = std::find(inputs.begin(), inputs.end(), "frame") - inputs.begin();
  size_t bytes = sizeof(float) * values[frame].GetTensorTypeAndShapeInfo().GetElementCount();
  auto* pixels = reinterpret_cast<char*>(values[frame].GetTensorMutableData<float>());
  for (int index = 0; file.read(pixels, bytes); ++index) {
    auto found = session.Run(Ort::RunOptions{}, input_names.data(), values.data(), values.size(),
                             output_names.data(), output_names.size());
    const float* box = found[0].GetTensorData<float>();
    const int64_t* label = found[1].GetTensorData<int64_t>();
    const float* score = found[2].GetTensorData<float>();
    size_t count = found[2].GetTensorTypeAndShapeInfo().GetElementCount();
    for (size_t i = 0; i < count; ++i, box += 4)
      std::printf("%d %d %.6f %.4f %.4f %.4f %.4f\n", index, int(label[i]), score[i], box[0], box[1],
                  box[2], box[3]);
    for (size_t part = 3; part < found.size(); ++part) {  // the memory of the next frame
      auto name = outputs[part].substr(5);
      values[std::find(inputs.begin(), inputs.end(), name) - inputs.begin()] = std::move(found[part]);
    }
  }
}
