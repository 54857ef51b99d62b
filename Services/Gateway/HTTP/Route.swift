import HTTPTypes

/// The public paths.
///
/// One table, so that the router, the answers to a wrong method and the metrics' labels cannot
/// disagree.
enum Route: String, Sendable, CaseIterable {
  case chat = "/v1/chat/completions"
  case ner = "/v1/ner"
  case classify = "/v1/classify"
  case models = "/v1/models"
  case model = "/v1/models/{id}"
  case files = "/v1/files"
  case file = "/v1/files/{id}"
  case fileContent = "/v1/files/{id}/content"
  case jobs = "/v1/fine_tuning/jobs"
  case job = "/v1/fine_tuning/jobs/{id}"
  case jobCancellation = "/v1/fine_tuning/jobs/{id}/cancel"
  case jobEvents = "/v1/fine_tuning/jobs/{id}/events"
  case health = "/health"

  /// The label of requests that match no path.
  static let unmatched = "unmatched"

  /// The methods that the path knows; GET means HEAD as well.
  var methods: [HTTPRequest.Method] {
    switch self {
    case .chat, .ner, .classify, .jobCancellation: [.post]
    case .models, .model, .health, .fileContent, .job, .jobEvents: [.get]
    case .files, .jobs: [.get, .post]
    case .file: [.get, .delete]
    }
  }

  /// The value of `Allow`.
  var allow: String {
    methods.map { $0 == .get ? "GET, HEAD" : $0.rawValue }.joined(separator: ", ")
  }

  /// The route of a path, whatever the method; a trailing slash does not matter.
  init?(path: String) {
    let parts = path.split(separator: "/")
    let match = Self.allCases.first { route in
      let template = route.rawValue.split(separator: "/")
      return template.count == parts.count
        && zip(template, parts).allSatisfy {
          // Bytes: Swift's == takes time quadratic in the length of a hostile text.
          $0.utf8.elementsEqual($1.utf8) || $0.hasPrefix("{")
        }
    }
    guard let match else { return nil }
    self = match
  }
}
