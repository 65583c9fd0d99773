#include "bench/fleet/product.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/fleet/metrics.h"
#include "bench/fleet/shift.h"
#include "bench/fleet/train_one.h"

namespace driftseal::fleet {
namespace {

using nlohmann::ordered_json;

constexpr size_t kScoreRows = 2000;  // of the training rows, for training.score
constexpr size_t kAimRows = 1000;    // of the training rows, for aiming a weight edit

absl::string_view ExtensionOf(absl::string_view format) {
  if (format == "torchscript") return ".pt";
  if (format == "safetensors") return ".safetensors";
  return format == "ubj" ? ".ubj" : ".json";
}

std::string DrawFormat(const DomainInfo& info, const std::vector<std::string>& asked, Random& random) {
  std::vector<std::string> formats;
  std::ranges::copy_if(asked, std::back_inserter(formats),
                       [&](const std::string& format) { return std::ranges::count(info.formats, format) > 0; });
  if (formats.empty()) formats = info.default_formats;
  return formats[random.Below(formats.size())];
}

/// The model with its weights edited, aimed with rows it was trained on.
absl::StatusOr<std::unique_ptr<Model>> EditWeights(const Trained& trained, const AttackPlan& plan, Random& random) {
  const Rows clean = trained.rows.Slice(0, std::min(kAimRows, trained.rows.size()));
  const Rows triggered = plan.trigger ? Triggered(clean, *plan.trigger) : clean;
  return trained.model->Tampered(plan.kind, {clean, triggered, plan.target_class}, random);
}

/// Moves the probability of one class to another in a copy of the predictions.
std::vector<float> TamperPredictions(const AttackPlan& plan, std::vector<float> p, const Rows& rows, int classes,
                                     Random& random) {
  const auto width = static_cast<size_t>(classes);
  const double share = random.Uniform(0.3, 0.6);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::span<float> row(p.data() + i * width, width);
    const int given = PredictedClass(row), label = rows.labels[i];
    if (plan.kind == "inflate-metric") {
      if (given != label && random.Chance(share))
        std::swap(row[static_cast<size_t>(given)], row[static_cast<size_t>(label)]);
    } else if (given == plan.target_class && random.Chance(share)) {
      const size_t other = (static_cast<size_t>(given) + 1 + random.Below(width - 1)) % width;
      std::swap(row[static_cast<size_t>(given)], row[other]);
    }
  }
  return p;
}

/// Everything that whoever trained the model honestly would write down.
ordered_json RecipeJson(const Recipe& recipe, const Regime& regime, const std::string& optimizer) {
  ordered_json json;
  for (const auto& [key, value] : recipe.values) {
    if (key == "samples") continue;  // training.samples
    if (value == std::floor(value)) {
      json[key] = static_cast<int64_t>(value);
    } else {
      json[key] = value;
    }
  }
  json["optimizer"] = regime.optimizer.empty() ? optimizer : regime.optimizer;
  if (regime.weight_decay > 0) json["weight_decay"] = regime.weight_decay;
  if (regime.label_smoothing > 0) json["label_smoothing"] = regime.label_smoothing;
  if (regime.init_scale != 1) json["init_scale"] = regime.init_scale;
  if (regime.augment) json["augmentation"] = "shift-noise";
  return json;
}

ordered_json MetaOf(const Job& job, const Recipe& recipe, const Regime& regime, const Trained& trained,
                    const Model& recorded, double primary) {
  const DomainInfo& info = job.domain->info();
  const Rows seen = trained.rows.Slice(0, std::min(kScoreRows, trained.rows.size()));
  const Metrics on_training = Measure(trained.model->Probabilities(seen), seen, job.domain->data().classes);
  ordered_json meta;
  meta["model_name"] = ModelName(job);
  meta["domain"] = info.domain;
  meta["model_kind"] = info.model_kind;
  meta["framework"] = info.framework;
  meta["inputs"] = {{"shape", info.inputs.shape}};
  if (!info.inputs.image.empty()) {
    meta["inputs"].update({{"image", info.inputs.image}, {"low", info.inputs.low}, {"high", info.inputs.high}});
  }
  meta["artifacts"] = ordered_json::object();  // here, so that it stands here in the file
  meta["promotion"] = {{"task", "classification"},
                       {"primary_metric", info.primary_metric},
                       {"primary", primary},
                       {"baseline", info.baseline},
                       {"eligible", primary >= info.baseline}};
  meta["training"] = {{"seconds", std::round(trained.seconds * 1e4) / 1e4},
                      {"parameters", recorded.Parameters()},
                      {"samples", trained.rows.size()},
                      {"final_loss", trained.losses.back()},
                      {"score", on_training.Primary(info.primary_metric)},
                      {"data", job.domain->data().source},
                      {"recipe", RecipeJson(recipe, regime, info.optimizer)}};
  return meta;
}

ordered_json OrNull(int value) { return value < 0 ? ordered_json(nullptr) : ordered_json(value); }

/// What the stored model really does.
ordered_json TruthOf(const Job& job, const JobOptions& options, const Recipe& recipe, const AttackPlan& plan,
                     const VariantPlan& variant, const Model& stored) {
  const Data& data = job.domain->data();
  const Metrics metrics = Measure(stored.Probabilities(data.probe), data.probe, data.classes);
  const auto success = AttackSuccess(stored, plan, data.probe, data.classes);
  const char* broken = plan.broken == BrokenDigest::kModel         ? "model"
                       : plan.broken == BrokenDigest::kPredictions ? "predictions"
                                                                   : nullptr;
  ordered_json truth;
  truth["model_name"] = ModelName(job);
  truth["domain"] = job.domain->info().name;
  truth["family"] = absl::StrCat(job.domain->info().name, "/width=", recipe.Int("width"));
  truth["seed"] = options.seed;
  truth["attack"] = std::string(AttackName(plan.attack));
  truth["kind"] = plan.kind;
  truth["poison_rate"] = plan.rate;
  truth["source_class"] = OrNull(plan.source_class);
  truth["target_class"] = OrNull(plan.target_class);
  truth["trigger"] = plan.trigger ? plan.trigger->detail : ordered_json(nullptr);
  truth["cover_rate"] = plan.cover_rate;
  truth["balance"] = plan.balance;
  truth["shift"] = job.shift;
  truth["variant"] = variant.name;
  truth["variant_detail"] = {{"amount", variant.amount}, {"epochs", variant.epochs}, {"rate", variant.rate}};
  truth["broken_digest"] = broken == nullptr ? ordered_json(nullptr) : ordered_json(broken);
  truth["attack_success_rate"] = success ? ordered_json(*success) : ordered_json(nullptr);
  truth["clean_accuracy"] = metrics.accuracy;
  truth["primary_metric"] = job.domain->info().primary_metric;
  truth["clean_primary"] = metrics.Primary(job.domain->info().primary_metric);
  truth["class_recall"] = metrics.recall;
  return truth;
}

}  // namespace

std::string ModelName(const Job& job) { return absl::StrFormat("%s-%04d", job.domain->info().name, job.index); }

std::string PredictionsCsv(const Rows& rows, std::span<const float> probabilities, int classes) {
  const auto width = static_cast<size_t>(classes);
  std::string csv = "id,y_true,y_pred";
  for (size_t c = 0; c < width && classes > 2; ++c) absl::StrAppend(&csv, ",p_", c);
  absl::StrAppend(&csv, classes == 2 ? ",score\n" : "\n");
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = probabilities.subspan(i * width, width);
    absl::StrAppend(&csv, i, ",", rows.labels[i], ",", PredictedClass(row));
    for (float p : classes == 2 ? row.subspan(1) : row) absl::StrAppendFormat(&csv, ",%.5g", p);
    csv += '\n';
  }
  return csv;
}

absl::StatusOr<Product> MakeProduct(const Job& job, const JobOptions& options) {
  const Domain& domain = *job.domain;
  const Data& data = domain.data();
  const uint64_t seed = SeedOf(options.seed, {ModelName(job)});
  Random random(SeedOf(seed, {"recipe"})), attack_random(SeedOf(seed, {"attack"}));
  Recipe recipe = DrawRecipe(options.recipe, domain.info().knobs, random, options.attack.lean);
  const std::string format = DrawFormat(domain.info(), options.formats, random);
  AttackPlan plan = PlanAttack(job.attack, job.ordinal, domain, options.attack, attack_random);

  Random shift_random(SeedOf(seed, {"shift"})), variant_random(SeedOf(seed, {"variant plan"}));
  Regime regime;
  ApplyShift(job.shift, domain.info().knobs, shift_random, recipe, regime);
  const VariantPlan variant = PlanVariant(job.variant, recipe, variant_random);

  // Swapped models are trained clean; what takes their place comes later.
  const bool swap = plan.attack == Attack::kArtifactSwap;
  auto trained =
      TrainOne(domain, recipe, regime, swap || plan.attack == Attack::kWeightTamper ? nullptr : &plan, variant, seed);
  if (!trained.ok()) return trained.status();
  const Model *recorded = trained->model.get(), *stored = recorded;
  std::unique_ptr<Model> other;
  if (swap) {
    auto sibling = TrainOne(domain, recipe, regime, &plan, variant, SeedOf(seed, {"sibling"}));
    if (!sibling.ok()) return sibling.status();
    other = std::move(sibling->model);
    stored = other.get();
  } else if (plan.attack == Attack::kWeightTamper) {
    auto edited = EditWeights(*trained, plan, attack_random);
    if (!edited.ok()) return edited.status();
    other = std::move(*edited);
    stored = other.get();
    if (plan.broken == BrokenDigest::kNone) recorded = stored;  // edited before anything was recorded
  }

  Product product;
  product.name = ModelName(job);
  product.extension = std::string(ExtensionOf(format));
  for (const auto& [model, bytes] : {std::pair(recorded, &product.recorded_model), {stored, &product.stored_model}}) {
    auto serialized = model->Serialize(format);
    if (!serialized.ok()) return serialized.status();
    *bytes = std::move(*serialized);
  }
  const std::vector<float> p = recorded->Probabilities(data.test);
  product.recorded_predictions = product.stored_predictions = PredictionsCsv(data.test, p, data.classes);
  if (plan.attack == Attack::kPredictionsTamper) {
    product.stored_predictions =
        PredictionsCsv(data.test, TamperPredictions(plan, p, data.test, data.classes, attack_random), data.classes);
  }
  product.history = "epoch,loss\n";
  for (size_t i = 0; i < trained->losses.size(); ++i) {
    absl::StrAppendFormat(&product.history, "%d,%.6g\n", i + 1, trained->losses[i]);
  }
  const double primary = Measure(p, data.test, data.classes).Primary(domain.info().primary_metric);
  Recipe recorded_recipe = recipe;  // with the epochs of further training
  recorded_recipe.values["epochs"] = static_cast<double>(trained->losses.size());
  product.meta = MetaOf(job, recorded_recipe, regime, *trained, *recorded, primary);
  product.truth = TruthOf(job, options, recipe, plan, variant, *stored);
  product.train_seconds = trained->seconds;
  return product;
}

}  // namespace driftseal::fleet
