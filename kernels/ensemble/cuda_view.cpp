#include "kernels/ensemble/cuda_view.h"

#include <algorithm>
#include <iterator>

namespace driftseal::kernels::ensemble {

static_assert(kMembers == device::kCudaMembers && size_t{kNeighbours} == device::kCudaNeighbours &&
              size_t{kMahalanobis} == device::kCudaMahalanobis && size_t{kSvm} == device::kCudaSvm &&
              size_t{kForest} == device::kCudaForest && size_t{kAutoencoder} == device::kCudaAutoencoder);
static_assert(sizeof(forest::Node) == sizeof(device::CudaNode) &&
              offsetof(forest::Node, path) == offsetof(device::CudaNode, path));

CudaView::CudaView(const Members& members, size_t cols) {
  model_.cols = cols;
  std::fill(std::begin(model_.force), std::end(model_.force), -1);
  if (members.autoencoder != nullptr) {
    for (const autoencoder::Layer& layer : members.autoencoder->layers) {
      layers_.push_back({layer.inputs, layer.outputs, static_cast<int32_t>(layer.activation), layer.weights.data(),
                         layer.bias.data()});
    }
    network_ = {layers_.data(), layers_.size()};
    model_.autoencoder = &network_;
  }
  if (const forest::Forest* forest = members.forest) {
    forest_ = {reinterpret_cast<const device::CudaNode*>(forest->nodes.data()), forest->nodes.size(),
               forest->roots.data(), forest->roots.size(),
               forest::MeanPath(forest->sample_size) * static_cast<double>(forest->roots.size()) * forest::kPathUnit};
    model_.forest = &forest_;
  }
  if (const svm::Svm* svm = members.svm) {
    svm_ = {svm->vectors.data(), svm->alpha.data(), svm->alpha.size(), svm->gamma, svm->rho};
    model_.svm = &svm_;
  }
  if (const mahalanobis::Mahalanobis* model = members.mahalanobis) {
    mahalanobis_ = {model->mean.data(), model->isotropic, model->directions.data(), model->weights.data(),
                    model->weights.size()};
    model_.mahalanobis = &mahalanobis_;
  }
  if (const neighbours::Neighbours* model = members.neighbours) {
    neighbours_ = {model->reference.data(), model->rows(), model->k,
                   model->distance == neighbours::Distance::kKth ? 1 : 0};
    model_.neighbours = &neighbours_;
  }
}

}  // namespace driftseal::kernels::ensemble
