#include <driftseal/client.h>

#include <iostream>
#include <string>
#include <vector>

// consumer ADDRESS FOLDER: a verdict for each artifact beneath FOLDER of the engine's artifact root.
int main(int argc, char** argv) {
  if (argc != 3) return 2;
  driftseal::ClientOptions options;
  options.address = argv[1];  // "engine.example.com:50051"
  // options.tls.enabled = true;
  // options.token_file = "/run/secrets/driftseal";
  driftseal::Result<driftseal::Client> client = driftseal::Client::Create(options);
  if (!client) return std::cerr << client.status().ToString() << "\n", 1;

  // One request: how far the rows lie from what the detector knows.
  const driftseal::Detector detector = client->GetDetector("").value();  // value() throws where there is none.
  const std::vector<float> values(3 * detector.features.size(), 0.5f);
  driftseal::ScoreRequest request;
  request.rows = {values, detector.features.size()};
  const driftseal::Result<driftseal::ScoreResult> scores = client->Score(request);
  if (!scores) return std::cerr << scores.status().ToString() << "\n", 1;
  std::cout << scores->detector << ": " << scores->combined.size() << " rows\n";

  // A stream: verdicts come as they are ready. It reconnects by itself; each id is answered once.
  const std::vector<driftseal::Artifact> artifacts = client->ListArtifacts(argv[2]).value();
  driftseal::VerifyStreamOptions stream_options;
  stream_options.run = "nightly-2026-11-21";  // The engine keeps the verdicts under this name.
  driftseal::VerifyStream stream = client->OpenVerifyStream(stream_options);
  for (size_t sent = 0, answered = 0; answered < artifacts.size();) {
    while (sent < artifacts.size()) {
      driftseal::VerifyRequest artifact;
      artifact.path = artifacts[sent].path;
      const auto status = stream.TrySend(artifact.path, artifact);
      if (!status) break;  // No room: take an answer first.
      if (!status->ok()) return std::cerr << status->ToString() << "\n", 1;
      ++sent;
    }
    const auto answer = stream.Next();
    if (!answer) return std::cerr << stream.status().ToString() << "\n", 1;
    std::cout << driftseal::OutcomeName(answer->verdict.outcome) << " " << answer->id << "\n";
    ++answered;
  }
  stream.Finish();
  return 0;
}
