#ifndef DRIFTSEAL_KERNELS_DEVICE_MEMORY_CUH_
#define DRIFTSEAL_KERNELS_DEVICE_MEMORY_CUH_

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>
#include <vector>

// The only home of cudaMalloc, cudaMemcpy, streams, events and graphs. Everything reports a cudaError_t.
#define DRIFTSEAL_CUDA_TRY(CALL)                                    \
  do {                                                              \
    if (const cudaError_t error_ = (CALL); error_ != cudaSuccess) { \
      return error_;                                                \
    }                                                               \
  } while (false)

namespace driftseal::kernels::device {

/// Device memory, freed with its owner.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() {
    if (data_ != nullptr) (void)cudaFree(data_);
  }
  cudaError_t Allocate(size_t bytes) { return cudaMalloc(&data_, bytes > 0 ? bytes : 1); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

/// Page-locked host memory, which the copy engine reads while kernels run.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;
  ~PinnedBuffer() {
    if (data_ != nullptr) (void)cudaFreeHost(data_);
  }
  cudaError_t Allocate(size_t bytes) { return cudaHostAlloc(&data_, bytes > 0 ? bytes : 1, cudaHostAllocDefault); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
  }
  cudaError_t Create() { return cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() {
    if (event_ != nullptr) (void)cudaEventDestroy(event_);
  }
  cudaError_t Create(unsigned flags = cudaEventDisableTiming) { return cudaEventCreateWithFlags(&event_, flags); }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

/// A captured sequence of copies and launches.
class Graph {
 public:
  Graph() = default;
  Graph(Graph&& other) noexcept : exec_(std::exchange(other.exec_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(exec_, other.exec_);
    return *this;
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    if (exec_ != nullptr) (void)cudaGraphExecDestroy(exec_);
  }
  /// Captures what `enqueue()` puts on `stream` and on streams that it forks from it.
  template <class Enqueue>
  cudaError_t Capture(cudaStream_t stream, const Enqueue& enqueue) {
    DRIFTSEAL_CUDA_TRY(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const cudaError_t enqueued = enqueue();
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
    cudaError_t result = enqueued != cudaSuccess ? enqueued : ended;
    if (result == cudaSuccess) result = cudaGraphInstantiate(&exec_, graph, 0);
    if (graph != nullptr) (void)cudaGraphDestroy(graph);
    return result;
  }
  cudaError_t Launch(cudaStream_t stream) const { return cudaGraphLaunch(exec_, stream); }
  bool empty() const { return exec_ == nullptr; }

 private:
  cudaGraphExec_t exec_ = nullptr;
};

/// Copies a model's arrays to the device and keeps them. After the first failure it does nothing more: pack first, then
/// ask for error().
class Uploader {
 public:
  template <class T>
  const T* Copy(const T* values, size_t count) {
    DeviceBuffer buffer;
    if (error_ == cudaSuccess) error_ = buffer.Allocate(count * sizeof(T));
    if (error_ == cudaSuccess && count > 0) {
      error_ = cudaMemcpy(buffer.as<T>(), values, count * sizeof(T), cudaMemcpyHostToDevice);
    }
    if (error_ != cudaSuccess) return nullptr;
    buffers_.push_back(std::move(buffer));
    return buffers_.back().template as<T>();
  }
  template <class T>
  const T* Copy(const std::vector<T>& values) {
    return Copy(values.data(), values.size());
  }
  cudaError_t error() const { return error_; }

 private:
  std::vector<DeviceBuffer> buffers_;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_MEMORY_CUH_
