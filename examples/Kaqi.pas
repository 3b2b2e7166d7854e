// A POS's client for the kaqi agent on this machine: one unit, to be copied.
//
// kaqi's own tests have no Delphi: this unit was never compiled or run there. What it sends
// is the same as in examples/activate.sh, which is. Delphi 10.2 or newer.
//
//   Agent := TKaqi.Create(Token);                          // from: kaqi pair
//   Transaction := Agent.Start('pharmacy', '4711');
//   while not TKaqi.HasEnded(Transaction) do
//   begin
//     Show(Transaction.GetValue<TJSONObject>('step.text').GetValue('zh-CN').Value);
//     if TKaqi.Allows(Transaction, 'confirm') and ClerkSaysYes(Transaction) then
//       Next := Agent.Act(Transaction, 'confirm')
//     else
//       Next := Agent.Next(Transaction);
//     Transaction.Free;
//     Transaction := Next;
//   end;
//   Agent.Act(Transaction, 'acknowledge').Free;            // once the sale has the result

unit Kaqi;

interface

uses
  System.SysUtils, System.Classes, System.Diagnostics, System.Hash, System.JSON,
  System.Net.HttpClient, System.Net.URLClient;

type
  // The agent refused: branch on Code; Body is the problem object, with messages and remedy.
  EKaqi = class(Exception)
  public
    Status: Integer;
    Code, Body: string;
    constructor Create(AStatus: Integer; const ACode, ABody: string);
  end;

  // Whoever answers does not know our token. It was not sent.
  EKaqiImpostor = class(Exception);

  // The agent, as one paired client, for one thread. Who asks owns the answer.
  TKaqi = class
  private
    FHttp: THTTPClient;
    FToken, FHost: string;
    FHeard: TStopwatch;
    procedure Prove;
    function Call(const Method, Path, Body, Key: string): TJSONObject;
    function Post(const Path, Body, Key: string): TJSONObject;
    function Send(const Method, Path, Body, Key, Bearer: string): TJSONObject;
  public
    constructor Create(const Token: string; const Host: string = '127.0.0.1:15274');
    destructor Destroy; override;
    // Keep the key with the sale: the same key finds the same transaction again.
    function Start(const Scenario, PosRef: string; const Key: string = ''): TJSONObject;
    // Wait until something changes, or 25 s.
    function Next(Transaction: TJSONObject): TJSONObject;
    // confirm, cancel, continue or acknowledge.
    function Act(Transaction: TJSONObject; const Action: string; const Key: string = ''): TJSONObject;
    // What the holder typed for this snapshot; it is presented once.
    function Pin(Transaction: TJSONObject; const Typed: string): TJSONObject;
    class function HasEnded(Transaction: TJSONObject): Boolean;
    class function Allows(Transaction: TJSONObject; const Action: string): Boolean;
    // Proof('pos~AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8',
    // '000102030405060708090a0b0c0d0e0f', '127.0.0.1:15274') is
    // a00db615a9d1d64024da05a3258977ea98d4b23fa87c0782843c39c07cde6c34
    class function Proof(const Token, Nonce, Host: string): string;
  end;

implementation

const
  TRIES = 3;
  QUIET_MS = 4000; // the agent hangs up after five seconds

constructor EKaqi.Create(AStatus: Integer; const ACode, ABody: string);
begin
  inherited Create(ACode);
  Status := AStatus;
  Code := ACode;
  Body := ABody;
end;

constructor TKaqi.Create(const Token, Host: string);
begin
  FToken := Token;
  FHost := Host;
  FHttp := THTTPClient.Create;
  FHttp.AllowCookies := False;
  FHttp.HandleRedirects := False;
  FHttp.ProxySettings := TProxySettings.Create('http://direct');
  FHttp.ConnectionTimeout := 5000;
  FHttp.ResponseTimeout := 40000;
end;

destructor TKaqi.Destroy;
begin
  FHttp.Free;
  inherited;
end;

function PathOf(Transaction: TJSONObject): string;
begin
  Result := '/v1/transactions/' + Transaction.GetValue<string>('id');
end;

// A nonce, or a key: 122 bits from the system.
function Unique: string;
begin
  Result := Copy(GUIDToString(TGUID.NewGuid), 2, 36);
end;

// Body owns its pairs; PosRef may be empty.
function TKaqi.Start(const Scenario, PosRef, Key: string): TJSONObject;
var
  Body: TJSONObject;
begin
  Body := TJSONObject.Create;
  try
    Body.AddPair('kind', 'activation');
    Body.AddPair('scenario', Scenario);
    if PosRef <> '' then
      Body.AddPair('pos_ref', PosRef);
    Result := Post('/v1/transactions', Body.ToJSON, Key);
  finally
    Body.Free;
  end;
end;

function TKaqi.Next(Transaction: TJSONObject): TJSONObject;
begin
  Result := Call('GET', Format('%s?wait=25&after_seq=%d',
    [PathOf(Transaction), Transaction.GetValue<Integer>('seq')]), '', '');
end;

function TKaqi.Act(Transaction: TJSONObject; const Action, Key: string): TJSONObject;
begin
  Result := Post(PathOf(Transaction) + '/' + Action, '{}', Key);
end;

function TKaqi.Pin(Transaction: TJSONObject; const Typed: string): TJSONObject;
var
  Body: TJSONObject;
begin
  Body := TJSONObject.Create;
  try
    Body.AddPair('pin', Typed);
    Body.AddPair('seq', TJSONNumber.Create(Transaction.GetValue<Integer>('seq')));
    Result := Post(PathOf(Transaction) + '/pin', Body.ToJSON, '');
  finally
    Body.Free;
  end;
end;

class function TKaqi.HasEnded(Transaction: TJSONObject): Boolean;
var
  State: string;
begin
  State := Transaction.GetValue<string>('state');
  Result := (State = 'succeeded') or (State = 'failed') or (State = 'cancelled')
    or (State = 'expired');
end;

class function TKaqi.Allows(Transaction: TJSONObject; const Action: string): Boolean;
var
  Allowed: TJSONValue;
begin
  Result := False;
  for Allowed in Transaction.GetValue<TJSONArray>('allowed_actions') do
    Result := Result or (Allowed.Value = Action);
end;

class function TKaqi.Proof(const Token, Nonce, Host: string): string;
var
  Key, Message: TBytes;
begin
  Key := THashSHA2.GetHashBytes(Token); // of its UTF-8
  Message := TEncoding.UTF8.GetBytes('kaqi-hello'#10 + Nonce + #10 + Host);
  Result := LowerCase(THash.DigestAsString(THashSHA2.GetHMACAsBytes(Message, Key)));
end;

// Send until an answer comes, always with the same key.
function TKaqi.Post(const Path, Body, Key: string): TJSONObject;
var
  Click: string;
  Attempt: Integer;
begin
  Result := nil;
  Click := Key;
  if Click = '' then
    Click := Unique;
  for Attempt := 1 to TRIES do
    try
      Exit(Call('POST', Path, Body, Click));
    except
      on ENetHTTPClientException do
        if Attempt = TRIES then
          raise;
    end;
end;

function TKaqi.Call(const Method, Path, Body, Key: string): TJSONObject;
begin
  try
    Prove;
    Result := Send(Method, Path, Body, Key, FToken);
    FHeard := TStopwatch.StartNew;
  except
    on ENetHTTPClientException do
    begin
      FHeard.Reset; // somebody else may have the port now
      raise;
    end;
  end;
end;

procedure TKaqi.Prove;
var
  Nonce, Body: string;
  Answer: TJSONObject;
begin
  if FHeard.IsRunning and (FHeard.ElapsedMilliseconds < QUIET_MS) then
    Exit;
  Nonce := Unique;
  Body := Format('{"client_id": "%s", "nonce": "%s"}', [FToken.Split(['~'])[0], Nonce]);
  Answer := Send('POST', '/v1/hello', Body, '', '');
  try
    if Answer.GetValue<string>('proof', '') <> Proof(FToken, Nonce, FHost) then
      raise EKaqiImpostor.Create('What answers at ' + FHost + ' is not kaqi.');
  finally
    Answer.Free;
  end;
  FHeard := TStopwatch.StartNew;
end;

function TKaqi.Send(const Method, Path, Body, Key, Bearer: string): TJSONObject;
var
  Content: TStringStream;
  Headers: TNetHeaders;
  Response: IHTTPResponse;
  Answer, Code: string;
begin
  Headers := [TNetHeader.Create('Content-Type', 'application/json')];
  if Bearer <> '' then
    Headers := Headers + [TNetHeader.Create('Authorization', 'Bearer ' + Bearer)];
  if Key <> '' then
    Headers := Headers + [TNetHeader.Create('Idempotency-Key', Key)];
  Content := TStringStream.Create(Body, TEncoding.UTF8);
  try
    if Method = 'GET' then
      Response := FHttp.Get('http://' + FHost + Path, nil, Headers)
    else
      Response := FHttp.Post('http://' + FHost + Path, Content, nil, Headers);
    Answer := Response.ContentAsString(TEncoding.UTF8);
  finally
    Content.Free;
  end;
  Result := TJSONObject.ParseJSONValue(Answer) as TJSONObject;
  if Result = nil then
    raise ENetHTTPClientException.Create('The answer is not the agent''s.');
  if Response.StatusCode >= 400 then
  begin
    Code := Result.GetValue<string>('code', '');
    Result.Free;
    raise EKaqi.Create(Response.StatusCode, Code, Answer);
  end;
end;

end.
