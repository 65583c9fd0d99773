#include "engine/artifact/text.h"
#include "engine/fingerprint/schema.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
constexpr std::string_view kIntroduction =
    R"(One row of float32 a model. A feature that could not be had is NaN, and the reason is recorded beside the row;
it is never a silent 0. Features depend on the bytes of the files and the numbers of the meta file only, and are
the same in every run. A detector keeps the digest of the schema that it was fitted on and refuses rows of
another. A change to the name, unit or definition of a feature changes the digest; a version of the schema never
changes.

**Family.** Models are compared within domain / task / architecture, the last being the first 16 hexadecimal
digits of a digest of tensor names, shapes and types. Recipe covariates (epochs, learning rate, width, ...) are
recorded beside the row.

**Weight matrices** are the float tensors of rank 2 and more that have an element, as matrices of shape[0] rows
× the rest (a convolution is out × in·height·width). Their order depends on names alone, because a state_dict
comes in the order of its layers and a safetensors file often in alphabetical order: first by what the words of
a name before the first layer number speak of (embed, embedding(s), embed_tokens, patch_embed, stem, wte, wpe;
conv(s), features, backbone; anything else; fc, linear, dense, pooler, pre_classifier; classifier, head(s),
lm_head, logits, output, score; digits at the end of a word do not count), then by natural order (fc2 before
fc10).

**Slots.** Slots 1 to 3 are the first three weight matrices in that order, slots 4 to 6 the last three. A model
with fewer than six fills them from the front. The features "all" go over the slots' matrices and up to 18
others, evenly spaced. The bias of a matrix is the vector of shape[0] elements with "bias" in its name for the
matrix's "weight" or "kernel".

**Large tensors.** Of a matrix whose smaller side exceeds 1,024 or whose larger side exceeds 8,192, every
(n/limit)-th row is read, and of columns that are too many, evenly spaced runs of 64. All features of the matrix
are those of this part. Vectors of one kind beyond 4,194,304 elements together are left out of their aggregate.
The head's cosines go over at most 128 evenly spaced classes.

**Singular values** are the roots of the eigenvalues of the smaller Gram matrix, in double precision.
**Quantiles** interpolate linearly between order statistics. Variances are divided by n. The robust z-score is
(v − median) / (1.4826·MAD), where MAD is the median absolute deviation from the median.

**Predictions.** Columns are told by name, whatever the case: true labels are the first found of y_true,
true_label, true, label, target, truth, ground_truth, actual, y; predicted ones of y_pred, predicted_label,
pred_label, prediction, predicted, pred, y_hat; confidences of confidence, max_prob, max_probability.
Probability columns are numeric and begin with p_, prob, y_prob, y_proba, y_score, score or class_, or are p0,
p1, ... Labels are texts or whole numbers, at most 256 different ones; otherwise, and where the task of the meta
file says regression or forecast, they are values of a regression. An empty cell and "nan" are missing; an
infinity in a numeric column is an error of the file.
)";

// Pipes would end a cell.
std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string SchemaMarkdown(const Schema& schema) {
  std::string out = Cat("# Fingerprint schema `", schema.name, "`, version ", schema.version, "\n\n",
                        "Written by `driftseal schema` from the table in "
                        "`engine/fingerprint/schema.cpp`; do not edit. ",
                        schema.features.size(), " columns, digest `", schema.digest, "`.\n\n", kIntroduction);
  const Feature* previous = nullptr;
  for (size_t column = 0; column < schema.features.size(); ++column) {
    const Feature& feature = schema.features[column];
    if (previous == nullptr || previous->group != feature.group) {
      out += Cat("\n## ", GroupName(feature.group), "\n\n| Column | Name | Unit | Definition |\n|---|---|---|---|\n");
    }
    out += Cat("| ", column, " | `", feature.name, "` | ", Cell(feature.unit), " | ", Cell(feature.definition), " |\n");
    previous = &feature;
  }
  return out;
}

}  // namespace driftseal::fingerprint
