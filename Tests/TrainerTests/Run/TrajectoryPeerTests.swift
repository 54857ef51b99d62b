import Checkpoints
import Foundation
import Models
import Tensors
import Testing

@testable import Trainer

/// The losses of whole runs against PyTorch on the same batches.
@Suite("Training runs and PyTorch")
struct TrajectoryPeerTests {
  private struct Step: Codable {
    let rate: Double
    let ids: [[UInt32]]
    let labels: [[Int]]
  }

  private struct Job: Codable {
    let folder: String
    let kind: String
    let decay: Double
    let beta2: Double
    let steps: [Step]
  }

  private static let script = """
    import json, sys, torch
    from transformers import (
        BertForSequenceClassification, BertForTokenClassification, LlamaForCausalLM)
    torch.set_num_threads(1)
    job = json.load(open(sys.argv[1]))
    kinds = {"ner": BertForTokenClassification, "classify": BertForSequenceClassification,
             "chat": LlamaForCausalLM}
    options = {} if job["kind"] == "chat" else dict(
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = kinds[job["kind"]].from_pretrained(job["folder"], dtype=torch.float32, **options)
    model.train()
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": job["decay"]},
         {"params": others, "weight_decay": 0.0}], lr=1.0, betas=(0.9, job["beta2"]))
    losses = []
    for step in job["steps"]:
        n = max(map(len, step["ids"]))
        ids = torch.zeros(len(step["ids"]), n, dtype=torch.long)
        mask, labels = ids.clone(), torch.full_like(ids, -100)
        for r, (x, y) in enumerate(zip(step["ids"], step["labels"])):
            ids[r, :len(x)] = torch.tensor(x)
            mask[r, :len(x)] = 1
            labels[r, :len(y)] = torch.tensor(y)
        logits = model(ids, attention_mask=mask).logits
        if job["kind"] == "classify":
            labels = labels[:, 0]
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-100)
        for group in optimizer.param_groups:
            group["lr"] = step["rate"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    json.dump(losses, open(sys.argv[2], "w"))
    """

  /// The batches of a run, with the learning rates that it used.
  private func steps(
    _ task: TrainingTask,
    _ configuration: TrainingConfiguration,
    _ input: TrainingInput,
    rates: [Double]
  ) throws -> [Step] {
    let preparation = try Preparation(
      task: task,
      configuration: configuration,
      input: input,
      threads: ThreadPool(threadCount: 1),
      memoryLimit: nil,
      isCancelled: { false }
    )
    var steps: [Step] = []
    for epoch in 0..<configuration.epochs {
      let examples = try preparation.data.train.examples(epoch: epoch)
      let plan = EpochPlan(lengths: examples.lengths, epoch: epoch, configuration)
      for step in 0..<plan.steps {
        let group = plan.group(step)
        steps.append(
          Step(
            rate: rates[steps.count],
            ids: group.map { Array(examples.ids[examples.range($0)]) },
            labels: group.map { index in
              examples.labels[examples.range(index)].map {
                $0 == ExampleSet.ignored ? -100 : Int($0)
              }
            }
          )
        )
      }
    }
    return steps
  }

  /// A base model whose head fits the task, so that both sides begin with the same weights.
  private func base(_ task: TrainingTask, _ folder: TemporaryFolder) throws -> TrainingInput {
    let threads = ThreadPool(threadCount: 1)
    switch task {
    case .chat:
      var settings = TinyModels.chatSettings
      settings.merge(["epochs": "1", "saveDtype": "f32", "learningRate": "1e-9"]) { $1 }
      let rows = TinyModels.chatRows(60, seed: 1)
      let result = try TrainingRun(
        task: .chat,
        configuration: try TrainingConfiguration(task: .chat, settings: settings),
        input: TrainingInput(train: rows),
        workFolder: folder.path,
        threads: 1
      ).run()
      return TrainingInput(train: rows, baseModel: result.modelFolder)
    case .ner, .classify:
      try TinyModels.makeBert(folder.path)
      let head: ModelHead =
        task == .ner
        ? .tokenClassification(labels: ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
        : .sequenceClassification(labels: ["person", "place"])
      let model = try TrainableModel(folder: folder.path, head: head, threads: threads, seed: 5)
      try model.save(folder: folder.path, elementType: .float32)
      let rows =
        task == .ner ? TinyModels.entityRows(60, seed: 1) : TinyModels.textRows(60, seed: 1)
      return TrainingInput(train: rows, baseModel: folder.path)
    }
  }

  @Test(
    "losses follow PyTorch's on the same batches",
    .enabled(if: Environment.hasPeers, "needs the Python peers (LLMOS_PEERS)"),
    arguments: TrainingTask.allCases
  )
  func trajectory(_ task: TrainingTask) async throws {
    let (folder, work) = (try TemporaryFolder(), try TemporaryFolder())
    let input = try base(task, folder)
    // Parts and accumulation: PyTorch sees each step as one padded batch.
    let configuration = try TrainingConfiguration(
      task: task,
      settings: [
        "epochs": "3", "batchSize": "4", "accumulation": "2", "learningRate": "1e-3",
        "dropout": "0", "microbatchTokens": "32", "warmup": "3", "weightDecay": "0.1",
      ]
    )
    let events = Events()
    _ = try TrainingRun(
      task: task,
      configuration: configuration,
      input: input,
      workFolder: work.path,
      threads: 2
    ).run(onEvent: events.append)
    let job = Job(
      folder: try #require(input.baseModel),
      kind: task.rawValue,
      decay: configuration.weightDecay,
      beta2: configuration.beta2,
      steps: try steps(task, configuration, input, rates: events.rates)
    )
    let (inputFile, outputFile) = ("\(work.path)/job.json", "\(work.path)/losses.json")
    try JSONEncoder().encode(job).write(to: URL(fileURLWithPath: inputFile))
    try await Environment.runPeer(Self.script, [inputFile, outputFile])
    let losses = try JSONDecoder().decode(
      [Double].self,
      from: Data(contentsOf: URL(fileURLWithPath: outputFile))
    )
    try #require(losses.count == events.losses.count && losses.count == 24)
    for (index, (ours, theirs)) in zip(events.losses, losses).enumerated() {
      #expect(abs(ours - theirs) < 5e-4 * max(1, theirs), "step \(index): \(ours), \(theirs)")
    }
    #expect(losses[23] < losses[0])
  }
}
